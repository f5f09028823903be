// SPDX-License-Identifier: Apache-2.0
// The pins have one user at a time: two daemons on one set of maps would undo each other, and enforcement is not taken off
// under a living one.
#pragma once

#include "userspace/base/result.h"
#include "userspace/base/unique_fd.h"

#include <chrono>
#include <filesystem>

namespace penstock::kernel {

// Locks the folder of the pins itself, made if it is not there, so that whatever else the users differ in, they meet here.
// Held as long as the descriptor is. One that was killed may need a moment until the kernel has closed what it held: hence
// the patience. An error of code EBUSY: another has it.
Result<UniqueFd> lock_pins(const std::filesystem::path &bpffs,
                           std::chrono::milliseconds patience = std::chrono::seconds(3));

// The folder that was locked is the one that is found by the path. Else somebody removed it, and the lock keeps nobody out.
bool is_still_there(const UniqueFd &folder, const std::filesystem::path &bpffs);

// True if there are no pins, so nothing to lock either.
bool has_no_pins(const std::filesystem::path &bpffs);

} // namespace penstock::kernel
