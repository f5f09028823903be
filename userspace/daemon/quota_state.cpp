// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/quota_state.h"

#include "userspace/kernel/maps.h"

#include <algorithm>

namespace penstock::daemon {
namespace {

constexpr std::uint64_t least_packet = 40, full_packet = 1500;

} // namespace

std::uint64_t QuotaState::allowance() const {
    return std::min(quota + granted, kernel::most_octets);
}

unsigned QuotaState::per_cent() const {
    const std::uint64_t of = allowance(), used = std::min(spent, of);
    // Octets have 48 bits: no overflow.
    return of == 0 ? 100 : static_cast<unsigned>(used * 100 / of);
}

QuotaState quota_state(const abi::ps_limits &limits, const abi::ps_budget *budget, std::uint64_t boot_ns,
                       std::int64_t wall_ns) {
    QuotaState state;
    state.quota = limits.quota_bytes;
    state.window_ns = limits.window_ns;
    state.directions = limits.quota_directions;
    const auto window = budget ? kernel::BudgetTable::window(*budget, boot_ns) : std::nullopt;
    bool refused = false;
    if (window) {
        state.spent =
            window->octets(budget->spent); // with another length, too, the next packet goes on with it
        refused = window->octets(budget->told) >= 100;
    }
    if (window && window->length_ns == limits.window_ns) {
        state.granted = window->octets(budget->granted);
        state.turns_boot_ns = window->turns_ns;
        state.turns_wall_ns = wall_ns + static_cast<std::int64_t>(*state.turns_boot_ns - boot_ns);
    }
    state.is_spent = state.left() < least_packet || (refused && state.left() < full_packet);
    return state;
}

std::string_view directions_name(std::uint32_t directions) {
    constexpr std::uint32_t egress = 1 << abi::PS_EGRESS, ingress = 1 << abi::PS_INGRESS;
    return directions == egress ? "egress" : directions == ingress ? "ingress" : "both";
}

} // namespace penstock::daemon
