// SPDX-License-Identifier: Apache-2.0
#include "policy/bucket.h"

#include <algorithm>
#include <stdexcept>

namespace penstock::policy {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t default_burst_ns = ns_per_s / 10;
constexpr std::uint32_t most_shift = 20; // a part in a million of what an octet costs at 1 GB/s

constexpr std::uint64_t least_burst(Quantity quantity) {
    return quantity == Quantity::octets ? 144 * 1024 : quantity == Quantity::packets ? 64 : 1;
}

// The most that the kernel charges at once: a GSO buffer, and the packets it becomes.
constexpr std::uint64_t most_units(Quantity quantity) {
    return quantity == Quantity::octets ? 1 << 20 : quantity == Quantity::packets ? 1 << 10 : 1;
}

Wide rounded_up(Wide value, Wide divisor) {
    return (value + divisor - 1) / divisor;
}

std::uint64_t saturated(Wide value) {
    return value > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(value);
}

} // namespace

Rate held(Rate rate, Quantity quantity) {
    if (rate.burst)
        rate.burst = std::max(rate.burst, least_burst(quantity));
    return rate;
}

std::uint64_t burst_of(const Rate &rate, Quantity quantity) {
    if (rate.burst)
        return held(rate, quantity).burst;
    if (quantity == Quantity::count)
        return rate.amount;
    return std::max(saturated(static_cast<Wide>(rate.amount) * default_burst_ns / rate.per_ns),
                    least_burst(quantity));
}

bool refills_in_a_year(const Rate &rate, Quantity quantity) {
    return static_cast<Wide>(burst_of(rate, quantity)) * rate.per_ns <=
           static_cast<Wide>(year_s) * ns_per_s * rate.amount;
}

abi::ps_rate bucket_of(const Rate &rate, Quantity quantity) {
    if (!refills_in_a_year(rate, quantity))
        throw std::logic_error("a rate of a validated policy refills in a year");
    abi::ps_rate bucket{};
    Wide cost = 0;
    for (bucket.shift = most_shift;; --bucket.shift) {
        cost = rounded_up(static_cast<Wide>(rate.per_ns) << bucket.shift, rate.amount);
        // At shift 0 it fits: the least burst is a 16th (packets), more (octets) or all (count) of the most units, and
        // refills in 2^55 ns.
        if (bucket.shift == 0 || cost * most_units(quantity) < Wide{1} << 63)
            break;
    }
    bucket.cost = static_cast<std::uint64_t>(cost);
    // Rounded up, so that the whole burst passes in whatever parts.
    bucket.burst_ns = saturated(rounded_up(cost * burst_of(rate, quantity), Wide{1} << bucket.shift));
    return bucket;
}

bool is_stricter(const Rate &a, const Rate &b, Quantity quantity) {
    const Wide left = static_cast<Wide>(a.amount) * b.per_ns, right = static_cast<Wide>(b.amount) * a.per_ns;
    return left != right ? left < right : burst_of(a, quantity) < burst_of(b, quantity);
}

bool is_stricter(const Quota &a, const Quota &b) {
    const Wide left = static_cast<Wide>(a.bytes) * b.window_s,
               right = static_cast<Wide>(b.bytes) * a.window_s;
    return left != right ? left < right : a.bytes < b.bytes;
}

} // namespace penstock::policy
