// SPDX-License-Identifier: Apache-2.0
// Budgets of rules that their container's policy does not limit any more. They stay while they say something that counts if
// the rule comes back: octets of a window that is not over, a bucket that is not full. Then they go back, or a container
// that lives long under changing policies would use all up. Knows maps and images, no containers.
#pragma once

#include "userspace/sync/policy_writer.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace penstock::sync {

class IdleBudgets {
  public:
    struct Holder { // who has a slot, by which policy and since when; no image: nothing is limited
        std::uint32_t slot = 0, serial = 0;
        std::uint64_t binding = 0, bound_ns = 0; // CLOCK_MONOTONIC
        ImagePtr image;
    };

    explicit IdleBudgets(kernel::Gate &gate) : maps_(&gate.maps()) {} // `gate` outlives this

    // One round; how many were given back. The holders' bindings must not change meanwhile. No program counts in what it
    // takes: those of an earlier binding have ended. But a socket's memory may lead one there (known.h), so that a budget is
    // nobody's for a grace before it is free. A daemon that dies in between loses it, and never gives one to two containers.
    Result<std::size_t> round(const std::vector<Holder> &, std::uint64_t monotonic_ns, std::uint64_t boot_ns);

  private:
    bool is_idle(const abi::ps_budget &, const Holder &, std::uint64_t monotonic_ns,
                 std::uint64_t boot_ns) const;
    Result<void> take(std::uint32_t index, const abi::ps_budget &, std::uint64_t monotonic_ns);
    Result<std::size_t> give_back(std::uint64_t monotonic_ns);

    kernel::Maps *maps_;
    std::map<std::uint32_t, std::uint64_t> nobodys_; // index -> since when
};

} // namespace penstock::sync
