// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/unload.h"

#include "userspace/kernel/bpffs.h"

#include <cerrno>
#include <unistd.h>

namespace penstock::kernel {
namespace {

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
    for (const char *folder : {"links", "maps"})
        if (const auto done = remove_pins(bpffs / folder, removed); !done)
            return done.error();
    for (const auto &folder : {bpffs / "links", bpffs / "maps", bpffs})
        if (const auto done = remove_folder(folder); !done)
            return done.error();
    return removed;
}

} // namespace penstock::kernel
