// SPDX-License-Identifier: Apache-2.0
// Limits: half of them in whole ns a unit, so that an edge is an edge; the others as awkward as they may be.
#include "tests/differential/generate.h"

#include <array>

namespace penstock::differential {

using namespace penstock::policy;

namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;
constexpr std::array<std::uint64_t, 4> periods_s{1, 60, 3600, 86400};
constexpr std::array<std::uint64_t, 9> divisors{1, 2, 5, 8, 20, 1000, 100'000, 100'000'000, 1'000'000'000};
constexpr std::array<std::uint64_t, 10> awkward{3,       7,        333,         1500,    65'537,
                                                1 << 20, 10 << 20, 999'999'937, 1 << 30, 1'000'000'000'000};
constexpr std::array<std::uint64_t, 6> octet_bursts{1500, 147'456, 150'000, 1 << 20, 20 << 20, 0};
constexpr std::array<std::uint64_t, 6> bursts{1, 2, 64, 65, 1000, 0};
constexpr std::array<std::uint64_t, 8> quotas{100,     1500,    5000,    65'536,
                                              100'003, 1 << 20, 1 << 30, (1ULL << 48) - 1};

} // namespace

Rate Generator::rate(Quantity quantity) {
    for (;;) {
        Rate rate;
        rate.per_ns = periods_s[below(periods_s.size())] * ns_per_s;
        rate.amount = chance(60) ? divisors[below(divisors.size())] : awkward[below(awkward.size())];
        rate.burst = quantity == Quantity::octets ? octet_bursts[below(octet_bursts.size())]
                                                  : bursts[below(bursts.size())];
        if (refills_in_a_year(rate, quantity)) // all others are refused as text
            return rate;
    }
}

Quota Generator::quota() {
    return {quotas[below(quotas.size())], periods_s[below(periods_s.size())],
            static_cast<std::uint8_t>(1 + below(3))};
}

Limits Generator::limits() {
    Limits limits;
    const auto maybe = [&](std::optional<Rate> &limit, Quantity quantity) {
        if (chance(35))
            limit = rate(quantity);
    };
    maybe(limits.egress, Quantity::octets);
    maybe(limits.ingress, Quantity::octets);
    maybe(limits.packets, Quantity::packets);
    maybe(limits.connections, Quantity::count);
    maybe(limits.queries, Quantity::count);
    if (chance(35))
        limits.quota = quota();
    return limits;
}

void Generator::limit(World &world) {
    for (auto &policy : world.policies) {
        policy.limits = chance(60) ? limits() : Limits{};
        policy.dns.queries.reset();
        if (chance(20))
            policy.dns.queries = rate(Quantity::count);
        for (auto &rule : policy.allow) {
            rule.limits = chance(60) ? limits() : Limits{};
            if (rule.domains.empty())
                rule.limits.queries.reset();
        }
    }
}

} // namespace penstock::differential
