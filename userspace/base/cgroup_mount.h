// SPDX-License-Identifier: Apache-2.0
// Where the cgroup v2 tree is, and what the kernel calls its directories. Knows no containers.
#pragma once

#include "userspace/base/result.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace penstock {

// The cgroup v2 mount that shows the whole tree, from the text of /proc/self/mountinfo. A bind mount of a part is
// passed over.
std::optional<std::filesystem::path> find_cgroup_mount(std::string_view mountinfo);

// The same for this process. An error if there is none, or if it shows only a cgroup namespace's part: levels and paths
// would then mean something else to the kernel than to us.
Result<std::filesystem::path> cgroup_mount();

// The kernel's id of a cgroup: its directory's inode number.
Result<std::uint64_t> cgroup_id(const std::filesystem::path &directory);

// The kernel's level of a cgroup: how many names stand between the mount (0) and it. Both paths absolute.
Result<std::uint32_t> cgroup_level(const std::filesystem::path &mount,
                                   const std::filesystem::path &directory);

} // namespace penstock
