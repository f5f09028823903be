// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/unload.h"

#include "userspace/base/unique_fd.h"
#include "userspace/kernel/bpffs.h"

#include <bpf/bpf.h>
#include <cerrno>
#include <unistd.h>

namespace penstock::kernel {
namespace {

// A link lives until its last reference goes, some time after its pin, and longer if another process holds it: so a link to
// a cgroup is cut here and now. Other kinds can't be cut (the call fails, which is fine) and end with the pin.
void cut(const std::filesystem::path &pin) {
    const UniqueFd link(::bpf_obj_get(pin.c_str()));
    if (link)
        ::bpf_link_detach(link.get());
}

Result<void> remove_pins(const std::filesystem::path &folder, std::vector<std::string> &removed) {
    const auto pins = list_pins(folder);
    if (!pins)
        return pins.error();
    for (const auto &pin : *pins) {
        if (::unlink(pin.c_str()) == 0)
            removed.push_back(pin.string());
        else if (errno != ENOENT)
            return system_error("remove pin " + pin.string(), errno);
    }
    return {};
}

Result<void> remove_folder(const std::filesystem::path &folder) {
    if (::rmdir(folder.c_str()) != 0 && errno != ENOENT)
        return system_error("remove folder " + folder.string(), errno);
    return {};
}

} // namespace

Result<std::vector<std::string>> detach_all(const std::filesystem::path &bpffs) {
    std::vector<std::string> removed;
    // Links first: a program must never run without the maps that the next daemon would find.
    if (const auto links = list_pins(bpffs / "links"); links)
        for (const auto &link : *links)
            cut(link);
    for (const char *folder : {"links", "maps"})
        if (const auto done = remove_pins(bpffs / folder, removed); !done)
            return done.error();
    for (const auto &folder : {bpffs / "links", bpffs / "maps", bpffs})
        if (const auto done = remove_folder(folder); !done)
            return done.error();
    return removed;
}

} // namespace penstock::kernel
