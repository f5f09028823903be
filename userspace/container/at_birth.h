// SPDX-License-Identifier: Apache-2.0
// Which paths are sure to be selected by which policies before they are made, in a form that the birth program can match
// with one look-up: a longest prefix and a tail. Pure, as selection.h is.
//
// A glob whose only wildcard is `**` as its last component, or one `*` in its last component, has such a form, and so has
// one without wildcards. Where another selector may hold for some of its paths and not for others, it is not certain: the
// daemon decides when the cgroup is there, and until then its birth verdict holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock::container {

struct SelectingGlob {
    std::string glob; // a normal path with wildcards (glob.h)
    std::size_t policy = 0;
};

struct SelectedAtBirth {
    std::string prefix;      // up to the wildcard; the whole path of a literal
    std::string suffix;      // after it
    std::uint32_t level = 0; // of the only cgroups it holds for, counted from the mount; 0: any
    bool literal = false;    // no wildcard
    std::vector<std::size_t>
        policies; // ascending; empty: not certain, and a shorter prefix is no answer either
};

// In any order; no two have the same prefix and `literal`.
std::vector<SelectedAtBirth> selected_at_birth(const std::vector<SelectingGlob> &);

} // namespace penstock::container
