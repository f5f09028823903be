// SPDX-License-Identifier: Apache-2.0
// Takes enforcement off the machine: the one way.
#pragma once

#include "userspace/base/result.h"

#include <filesystem>
#include <string>
#include <vector>

namespace penstock::kernel {

// Removes the pinned links, then the pinned maps, then the folders. Returns what was removed (empty: nothing was there).
// Programs are off when this returns, unless a daemon still holds their links.
Result<std::vector<std::string>> detach_all(const std::filesystem::path &bpffs);

} // namespace penstock::kernel
