// SPDX-License-Identifier: Apache-2.0
// A quota and how much of it is spent, as a value for people. Pure.
#pragma once

#include "bpf/abi.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::daemon {

struct QuotaState {
    std::string container; // cgroup path
    std::uint64_t cgroup_id = 0;
    std::string policy, rule;                        // both empty: the container's own
    std::uint64_t quota = 0, granted = 0, spent = 0; // octets
    std::uint64_t window_ns = 0;
    std::uint8_t mode = 0;                      // PS_MODE_*, of the container
    std::uint32_t directions = 0;               // bit n: ps_direction n is charged
    std::optional<std::uint64_t> turns_boot_ns; // none: no window has begun
    std::optional<std::int64_t> turns_wall_ns;  // the same by the wall clock
    bool is_spent = false;                      // no packet of usual size fits any more

    std::uint64_t allowance() const; // as the programs have it: at most what a budget can count to
    std::uint64_t left() const { return allowance() > spent ? allowance() - spent : 0; }
    unsigned per_cent() const; // rounded down; at most 100
};

// What the limits and the budget, if there is one, say at a moment. Names are left to the caller.
//
// Spent: a least packet does not fit, as the kernel's early error has it; or less than a full packet is left and one was
// refused (its mark of 100 % is told of).
QuotaState quota_state(const abi::ps_limits &, const abi::ps_budget *, std::uint64_t boot_ns,
                       std::int64_t wall_ns);

std::string_view directions_name(std::uint32_t directions); // both, egress, ingress

} // namespace penstock::daemon
