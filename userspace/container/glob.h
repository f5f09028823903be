// SPDX-License-Identifier: Apache-2.0
// Globs over cgroup paths. Pure: knows strings only, no files and no policy.
//
//   *    any run of characters within one component, also none
//   ?    one character, not '/'
//   **   as a whole component: any number of components. In the middle or in front also none, at the
//        end at least one: `/a/**` is everything below /a and not /a itself.
// Everything else stands for itself; there is no escape, as a cgroup's name needs none.
#pragma once

#include <string_view>

namespace penstock::container {

// Both are absolute paths; trailing and doubled slashes do not count.
bool glob_match(std::string_view pattern, std::string_view path);

// True if the text has no wildcard, so it names one path exactly.
bool is_literal(std::string_view pattern);

} // namespace penstock::container
