// SPDX-License-Identifier: Apache-2.0
// What must be written to turn one image into another under the same policy id, and whether that may be done while
// packets are judged. Pure.
//
// Order of writing, by which each single look-up goes from the old answer to the new one and never to a third:
//   `set_*` most specific first, then `drop_*` least specific first.
// A flow's verdict joins several look-ups (its CIDR and the names learned for its address), so a mix must be harmless
// too: it is where all changes go one way (`way` is not mixed), because a verdict is monotone in each look-up over
// deny < nothing < allow. Otherwise the new image needs an id of its own.
#pragma once

#include "policy/compile.h"

#include <cstddef>
#include <vector>

namespace penstock::sync {

enum class Way { none, loosens, tightens, mixed };
Way join(Way, Way);

struct Difference {
    std::vector<const policy::NameEntry *> set_names, drop_names; // of `to`, of `from`
    std::vector<const policy::CidrEntry *> set_cidrs, drop_cidrs;
    std::vector<policy::Address> add_resolvers, drop_resolvers;
    Way way = Way::none;

    std::size_t size() const;
};

// The result points into both images. `limit`: stops at more entries than that, with `way` mixed.
Difference diff(const policy::Image &from, const policy::Image &to, std::size_t limit);

} // namespace penstock::sync
