// SPDX-License-Identifier: Apache-2.0
// Rows of learned state that time has made useless. Each container's caps hold without this; it keeps the maps that all
// share from filling with dead rows, after which nobody could learn or ask. Knows maps, no containers.
#pragma once

#include "userspace/kernel/gate.h"

#include <cstddef>
#include <cstdint>

namespace penstock::sync {

class StaleRows { // one round over the maps
  public:
    explicit StaleRows(kernel::Gate &gate) : maps_(&gate.maps()) {} // `gate` outlives this

    // Looks at about a thousand rows. True: the round is done.
    Result<bool> sweep_slice(std::uint64_t now_ns);
    std::size_t erased() const { return erased_; }

  private:
    template <class Key, class Value, class IsStale>
    Result<void> sweep(const kernel::Map<Key, Value> &, std::uint32_t ring, const IsStale &);
    template <class Key> Result<void> free_place(const Key &, std::uint32_t ring, std::uint32_t position);

    kernel::Maps *maps_;
    kernel::RawMap::Walk walk_; // of the map at hand
    int map_ = 0;
    std::size_t erased_ = 0;
};

} // namespace penstock::sync
