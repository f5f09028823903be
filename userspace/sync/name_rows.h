// SPDX-License-Identifier: Apache-2.0
// Counter rows of learned names: a container has room for so many. Before it is full, the names that have been idle longest
// (and of those alike the ones that carried least) give theirs up: what they counted goes to "other", to the packet.
#pragma once

#include "bpf/abi.h"
#include "userspace/base/result.h"
#include "userspace/kernel/gate.h"

#include <cstdint>
#include <map>
#include <vector>

namespace penstock::sync {

class NameRows {
  public:
    explicit NameRows(kernel::Gate &gate) : maps_(&gate.maps()) {} // `gate` outlives this

    // Folds what the round before retired, and retires again where a container is short of room. Rounds are a second apart
    // at the least. True: rows moved, so that a reading taken meanwhile may have seen one twice or not at all.
    Result<bool> round(std::uint64_t monotonic);

  private:
    struct Seen {
        std::uint64_t packets = 0;
        std::uint64_t changed_ns = 0;
    };
    struct Before {
        bool operator()(const abi::ps_counter_key &, const abi::ps_counter_key &) const;
    };
    using Rows = std::vector<abi::ps_counter_key>;

    Result<bool> fold(const Rows &retired) const;
    Result<bool> make_room(const Rows &rows, std::size_t too_many, std::uint64_t now);
    Result<bool> retire(const abi::ps_counter_key &);

    kernel::Maps *maps_;
    std::map<abi::ps_counter_key, Seen, Before> seen_; // of containers short of room
    std::uint32_t number_ = 0;                         // the next name of a retired row
};

} // namespace penstock::sync
