// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/glob.h"

#include "userspace/container/path.h"

#include <cstddef>
#include <vector>

namespace penstock::container {
namespace {

// The usual two-pointer walk: on a mismatch go back to the last star and let it take one item more. Linear
// for one star, at worst the product of the lengths; no recursion, so no pattern can blow it up.
bool match_component(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*')
        ++p;
    return p == pattern.size();
}

bool match_components(const std::vector<std::string_view> &pattern,
                      const std::vector<std::string_view> &path) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
    while (t < path.size()) {
        if (p < pattern.size() && pattern[p] == "**") {
            star = p++;
            taken = t;
        } else if (p < pattern.size() && match_component(pattern[p], path[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    return p == pattern.size(); // a `**` left over found nothing to stand for: `/a/**` is not /a
}

} // namespace

bool glob_match(std::string_view pattern, std::string_view path) {
    return match_components(components(pattern), components(path));
}

bool is_literal(std::string_view pattern) {
    return pattern.find_first_of("*?") == std::string_view::npos;
}

} // namespace penstock::container
