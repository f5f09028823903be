// SPDX-License-Identifier: Apache-2.0
// The limits of the selected policies: of each allow rule its own, of the container the strictest of each kind.
#include "policy/bucket.h"
#include "policy/compile_internal.h"

namespace penstock::policy::detail {
namespace {

void keep_stricter(std::optional<Rate> &held, const std::optional<Rate> &other, Quantity quantity) {
    if (other && (!held || is_stricter(*other, *held, quantity)))
        held = other;
}

// Of two quotas the stricter holds, for the directions of both: neither policy's is then exceeded where it counts less.
void keep_stricter(std::optional<Quota> &held, const std::optional<Quota> &other) {
    if (!other)
        return;
    const std::uint8_t directions =
        static_cast<std::uint8_t>(other->directions | (held ? held->directions : 0));
    if (!held || is_stricter(*other, *held))
        held = other;
    held->directions = directions;
}

Limits unite(const std::vector<const Policy *> &policies) {
    Limits strictest;
    for (const auto *policy : policies) {
        const auto &limits = policy->limits;
        keep_stricter(strictest.egress, limits.egress, Quantity::octets);
        keep_stricter(strictest.ingress, limits.ingress, Quantity::octets);
        keep_stricter(strictest.packets, limits.packets, Quantity::packets);
        keep_stricter(strictest.connections, limits.connections, Quantity::count);
        keep_stricter(strictest.queries, limits.queries, Quantity::count);
        keep_stricter(strictest.queries, policy->dns.queries, Quantity::count);
        keep_stricter(strictest.quota, limits.quota);
    }
    return strictest;
}

abi::ps_limits to_abi(const Limits &limits) {
    abi::ps_limits out{};
    const auto set = [&](abi::ps_rate_kind kind, const std::optional<Rate> &rate, Quantity quantity) {
        if (rate)
            out.rates[kind] = bucket_of(*rate, quantity);
    };
    set(abi::PS_RATE_EGRESS, limits.egress, Quantity::octets);
    set(abi::PS_RATE_INGRESS, limits.ingress, Quantity::octets);
    set(abi::PS_RATE_PACKETS, limits.packets, Quantity::packets);
    set(abi::PS_RATE_CONNECTIONS, limits.connections, Quantity::count);
    set(abi::PS_RATE_QUERIES, limits.queries, Quantity::count);
    if (limits.quota) {
        out.quota_bytes = limits.quota->bytes;
        out.window_ns = limits.quota->window_s * ns_per_s;
        out.quota_directions = limits.quota->directions;
    }
    return out;
}

} // namespace

void compile_limits(const std::vector<const Policy *> &policies, const OrderedRules &rules, Image &image) {
    const auto add = [&](std::uint64_t rule, const Limits &limits, abi::ps_limited flag) {
        if (!limits.any())
            return;
        image.limits[rule] = to_abi(limits);
        image.limits_written[rule] = limits;
        image.settings.limited = static_cast<std::uint8_t>(image.settings.limited | flag);
    };
    add(0, unite(policies), abi::PS_LIMITED_CONTAINER);
    for (const auto &each : rules)
        if (each.allow)
            add(each.id, each.rule->limits, abi::PS_LIMITED_RULES);
}

} // namespace penstock::policy::detail
