// SPDX-License-Identifier: Apache-2.0
// Cgroup paths as text: absolute, relative to the cgroup v2 mount ("/penstock.slice/a"). No file access.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::container {

// "/a//b/" -> {"a", "b"}; "/" -> {}. The views point into `path`.
std::vector<std::string_view> components(std::string_view path);

// The same path in its one spelling: "/a/b"; the mount itself is "/".
std::string normal_path(std::string_view path);

std::string child_path(std::string_view parent, std::string_view name); // "/a" + "b" -> "/a/b"
std::string parent_path(std::string_view path);                         // "/a/b" -> "/a"; "/" -> "/"
std::string_view last_component(std::string_view path);                 // "" for "/"

// True for the path itself and everything below it. Both normal.
bool is_at_or_below(std::string_view path, std::string_view ancestor);

} // namespace penstock::container
