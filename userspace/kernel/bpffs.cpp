// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/bpffs.h"

#include <algorithm>
#include <cerrno>
#include <linux/magic.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace penstock::kernel {
namespace {

const std::filesystem::path usual_mount = "/sys/fs/bpf";

bool is_on_bpffs(const std::filesystem::path &path) {
    struct statfs status {};
    return ::statfs(path.c_str(), &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

std::filesystem::path nearest_existing(std::filesystem::path path) {
    std::error_code ignored;
    while (path.has_relative_path() && !std::filesystem::exists(path, ignored))
        path = path.parent_path();
    return path;
}

bool is_below(const std::filesystem::path &path, const std::filesystem::path &top) {
    const auto [end, unused] = std::mismatch(top.begin(), top.end(), path.begin(), path.end());
    return end == top.end();
}

Result<void> make_folder(const std::filesystem::path &folder) {
    if (folder.has_parent_path() && folder != folder.root_path())
        if (struct stat status{}; ::stat(folder.parent_path().c_str(), &status) != 0)
            if (auto made = make_folder(folder.parent_path()); !made)
                return made;
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return system_error("make " + folder.string(), errno);
    return {};
}

} // namespace

Result<std::filesystem::path> make_pin_place(const std::filesystem::path &bpffs) {
    const std::filesystem::path place = bpffs.lexically_normal();
    if (!place.is_absolute())
        return Error{"bpffs path '" + bpffs.string() + "' is not absolute", EINVAL};
    if (!is_on_bpffs(nearest_existing(place))) {
        if (!is_below(place, usual_mount))
            return Error{place.string() + " is not on a mounted bpf file system", EINVAL};
        if (::mount("bpf", usual_mount.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
            return system_error("mount a bpf file system at " + usual_mount.string(), errno);
    }
    if (const auto made = make_folder(place); !made)
        return made.error();
    return place;
}

Result<PinFolders> make_pin_folders(const std::filesystem::path &bpffs) {
    const auto place = make_pin_place(bpffs);
    if (!place)
        return place.error();
    const PinFolders folders{*place / "maps", *place / "links"};
    for (const auto &folder : {folders.maps, folders.links})
        if (const auto made = make_folder(folder); !made)
            return made.error();
    return folders;
}

Result<std::vector<std::filesystem::path>> list_pins(const std::filesystem::path &folder) {
    std::vector<std::filesystem::path> pins;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
         entry.increment(failure))
        pins.push_back(entry->path());
    if (failure && failure.value() != ENOENT)
        return system_error("list " + folder.string(), failure.value());
    std::sort(pins.begin(), pins.end());
    return pins;
}

} // namespace penstock::kernel
