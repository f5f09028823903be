// SPDX-License-Identifier: Apache-2.0
// The folders of pins on a bpf file system.
#pragma once

#include "userspace/base/result.h"

#include <filesystem>
#include <vector>

namespace penstock::kernel {

struct PinFolders {
    std::filesystem::path maps, links;
};

// Makes the folder `bpffs` alone, and gives its normal spelling; mounts a bpf file system at /sys/fs/bpf where none holds
// that path yet.
Result<std::filesystem::path> make_pin_place(const std::filesystem::path &bpffs);

// Makes the folders below it as well. Only under the lock of pin_lock.h: an unload may be removing them.
Result<PinFolders> make_pin_folders(const std::filesystem::path &bpffs);

// The pins in a folder, sorted; none if the folder is not there.
Result<std::vector<std::filesystem::path>> list_pins(const std::filesystem::path &folder);

} // namespace penstock::kernel
