// SPDX-License-Identifier: Apache-2.0
// Rates as token buckets, and which limits an image gets of one policy and of several.
#include "policy/bucket.h"
#include "policy/explain.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>

using namespace penstock;
using namespace penstock::policy;

namespace {

constexpr std::uint64_t s = 1'000'000'000, year_ns = year_s * s;
__extension__ using Wide = unsigned __int128;

Policy limited(std::string name, Limits limits) {
    Policy policy;
    policy.name = std::move(name);
    policy.limits = limits;
    return policy;
}

Rule web(std::string name, Limits limits = {}) {
    Rule rule;
    rule.name = std::move(name);
    rule.cidrs = {*Cidr::parse("198.51.100.0/24")};
    rule.ports = {{Protocol::tcp, 443, 443}};
    rule.limits = limits;
    return rule;
}

Limits with_egress(Rate rate) {
    Limits limits;
    limits.egress = rate;
    return limits;
}
Limits with_quota(Quota quota) {
    Limits limits;
    limits.quota = quota;
    return limits;
}

// Units that pass at once, and nanoseconds one costs, as the kernel reckons.
std::uint64_t cost_of(const abi::ps_rate &rate, std::uint64_t units) {
    return rate.cost * units >> rate.shift;
}

} // namespace

TEST_CASE(
    "a burst that is not given is 100 ms of the rate, or one period of a count, and holds a large buffer") {
    CHECK(burst_of({10 << 20, s, 0}, Quantity::octets) == 1024 * 1024);
    CHECK(burst_of({2 << 20, s, 0}, Quantity::octets) == (2 << 20) / 10);
    CHECK(burst_of({1000, s, 0}, Quantity::octets) == 147456);
    CHECK(burst_of({1 << 20, s, 1500}, Quantity::octets) == 147456);
    CHECK(burst_of({1 << 20, s, 1 << 20}, Quantity::octets) == 1 << 20);
    CHECK(burst_of({100'000, s, 0}, Quantity::packets) == 10'000);
    CHECK(burst_of({100, s, 0}, Quantity::packets) == 64);
    CHECK(burst_of({100, s, 10}, Quantity::packets) == 64);
    CHECK(burst_of({120, 60 * s, 0}, Quantity::count) == 120);
    CHECK(burst_of({120, 60 * s, 20}, Quantity::count) == 20);
    CHECK(burst_of({UINT64_MAX, s, 0}, Quantity::octets) == UINT64_MAX / 10);
    CHECK(held({1 << 20, s, 1500}, Quantity::octets) == Rate{1 << 20, s, 147456});
    CHECK(held({1 << 20, s, 1 << 20}, Quantity::octets) == Rate{1 << 20, s, 1 << 20});
    CHECK(held({1 << 20, s, 0}, Quantity::octets) == Rate{1 << 20, s, 0});
    CHECK(held({120, 60 * s, 1}, Quantity::count) == Rate{120, 60 * s, 1});
}

TEST_CASE(
    "a bucket never lets more pass than the rate, is exact to a millionth, and its products fit 64 bits") {
    const struct {
        Rate rate;
        Quantity quantity;
        std::uint64_t most_units;
    } cases[] = {
        {{10 << 20, s, 0}, Quantity::octets, 1 << 20},
        {{1, 3600 * s, 0}, Quantity::count, 1},
        {{1, 365 * 86400 * s, 0}, Quantity::count, 1},
        {{120, 60 * s, 20}, Quantity::count, 1},
        {{3, 7 * s, 0}, Quantity::packets, 1024},
        {{147456, 365 * 86400 * s, 0}, Quantity::octets, 1 << 20},
        {{64, 365 * 86400 * s, 0}, Quantity::packets, 1024},
        {{1'000'000'000, s, 0}, Quantity::octets, 1 << 20},
        {{UINT64_MAX, s, 0}, Quantity::octets, 1 << 20},
        {{UINT64_MAX, s, UINT64_MAX}, Quantity::octets, 1 << 20},
    };
    for (const auto &[rate, quantity, most_units] : cases) {
        INFO(rate.amount << " per " << rate.per_ns << " burst " << rate.burst);
        REQUIRE(refills_in_a_year(rate, quantity));
        const auto bucket = bucket_of(rate, quantity);
        const Wide scaled = static_cast<Wide>(rate.per_ns) << bucket.shift; // of `amount` units
        CHECK(bucket.cost >= 1);
        CHECK(static_cast<Wide>(bucket.cost) * rate.amount >= scaled);
        CHECK(static_cast<Wide>(bucket.cost - 1) * rate.amount < scaled);
        CHECK(bucket.shift <= 20);
        CHECK(static_cast<Wide>(bucket.cost) * most_units < Wide{1} << 63);
        const bool has_room = static_cast<Wide>(bucket.cost) * 2 * most_units >= Wide{1} << 62;
        CHECK((bucket.shift == 20 || has_room));
        CHECK(bucket.burst_ns <= year_ns + 1);
        const Wide whole = static_cast<Wide>(bucket.cost) * burst_of(rate, quantity);
        CHECK(static_cast<Wide>(bucket.burst_ns) << bucket.shift >= whole);
        CHECK(static_cast<Wide>(bucket.burst_ns - 1) << bucket.shift < whole);
    }
}

TEST_CASE("the numbers of a few buckets") {
    const auto connections = bucket_of({120, 60 * s, 20}, Quantity::count);
    CHECK(cost_of(connections, 1) == s / 2);
    CHECK(connections.burst_ns == 10 * s);
    const auto egress = bucket_of({10'000'000, s, 0}, Quantity::octets);
    CHECK(egress.shift == 20);
    CHECK(cost_of(egress, 1500) == 150'000);
    CHECK(egress.burst_ns == s / 10);
    const auto slow = bucket_of({1, 365 * 86400 * s, 0}, Quantity::count);
    CHECK(cost_of(slow, 1) == year_ns);
    CHECK(slow.burst_ns == year_ns);
}

TEST_CASE("no bucket takes more than a year to fill") {
    CHECK_FALSE(refills_in_a_year({65535, 365 * 86400 * s, 0}, Quantity::octets));
    CHECK_FALSE(refills_in_a_year({63, 365 * 86400 * s, 0}, Quantity::packets));
    CHECK_FALSE(refills_in_a_year({1, 365 * 86400 * s, 2}, Quantity::count));
    CHECK_FALSE(refills_in_a_year({1, s, UINT64_MAX}, Quantity::octets));
    CHECK_THROWS(bucket_of({1, s, UINT64_MAX}, Quantity::octets));
}

TEST_CASE(
    "an image has the limits of the container under 0 and of allow rules under their ids, and says so") {
    Policy policy;
    policy.name = "p";
    policy.allow = {web("plain")};
    CHECK(compile({&policy}, {}).limits.empty());
    CHECK(compile({&policy}, {}).settings.limited == 0);

    policy.allow.push_back(web("limited", with_quota({1 << 20, 3600, Quota::egress})));
    policy.deny = {web("no", with_egress({1, s, 0}))}; // no document says so; it would mean nothing
    auto image = compile({&policy}, {});
    CHECK(image.settings.limited == abi::PS_LIMITED_RULES);
    REQUIRE(image.limits.size() == 1);
    const auto &rule = image.limits.at(rule_id("p", "limited"));
    CHECK(rule.quota_bytes == 1 << 20);
    CHECK(rule.window_ns == 3600 * s);
    CHECK(rule.quota_directions == 1U << abi::PS_EGRESS);
    for (const auto &rate : rule.rates)
        CHECK(rate.cost == 0);

    policy.limits.ingress = Rate{1 << 20, s, 0};
    policy.limits.packets = Rate{1000, s, 0};
    policy.limits.connections = Rate{120, 60 * s, 20};
    policy.dns.queries = Rate{50, s, 100};
    image = compile({&policy}, {});
    CHECK(image.settings.limited == (abi::PS_LIMITED_CONTAINER | abi::PS_LIMITED_RULES));
    const auto &container = image.limits.at(0);
    CHECK(container.rates[abi::PS_RATE_EGRESS].cost == 0);
    CHECK(container.rates[abi::PS_RATE_INGRESS].cost != 0);
    CHECK(cost_of(container.rates[abi::PS_RATE_PACKETS], 1) == 1'000'000);
    CHECK(container.rates[abi::PS_RATE_PACKETS].burst_ns == 100'000'000);
    CHECK(container.rates[abi::PS_RATE_CONNECTIONS].burst_ns == 10 * s);
    CHECK(container.rates[abi::PS_RATE_QUERIES].burst_ns == 2 * s);
    CHECK(container.quota_bytes == 0);
}

TEST_CASE("of several policies the strictest limit of each kind holds, whatever their order") {
    const struct {
        Rate a, b, strictest;
    } rates[] = {
        {{10, s, 0}, {20, s, 0}, {10, s, 0}},
        {{60'000'000, 60 * s, 0}, {1'100'000, s, 0}, {60'000'000, 60 * s, 0}},
        {{1 << 20, s, 1 << 22}, {1 << 20, s, 1 << 21}, {1 << 20, s, 1 << 21}},
        {{1 << 20, s, 0}, {60 << 20, 60 * s, 1 << 21}, {60 << 20, 60 * s, 1 << 21}}, // 100 ms are more
        {{1 << 20, s, 1 << 30},
         {2 << 20, s, 65536},
         {1 << 20, s, 1 << 30}}, // less in the same time comes first
    };
    for (const auto &[a, b, strictest] : rates) {
        const auto first = limited("a", with_egress({a.amount * 65536, a.per_ns, a.burst})),
                   second = limited("b", with_egress({b.amount * 65536, b.per_ns, b.burst}));
        const Rate wanted{strictest.amount * 65536, strictest.per_ns, strictest.burst};
        for (const auto &order : {std::vector{&first, &second}, std::vector{&second, &first}})
            CHECK(compile(order, {}).limits_written.at(0).egress == wanted);
    }
    const struct {
        Quota a, b, strictest;
    } quotas[] = {
        {{100, 10}, {50, 10}, {50, 10}},
        {{100, 10}, {20, 1}, {100, 10}},
        {{100, 10}, {10, 1}, {10, 1}}, // as much in the same time: fewer octets
        {{100, 10, Quota::egress}, {500, 10, Quota::ingress}, {100, 10, Quota::both}},
    };
    for (const auto &[a, b, strictest] : quotas) {
        const auto first = limited("a", with_quota(a)), second = limited("b", with_quota(b));
        for (const auto &order : {std::vector{&first, &second}, std::vector{&second, &first}})
            CHECK(compile(order, {}).limits_written.at(0).quota == strictest);
    }
    auto first = limited("a", {}), second = limited("b", {});
    first.limits.queries = Rate{20, s, 0};
    second.dns.queries = Rate{10, s, 0};
    CHECK(compile({&first, &second}, {}).limits_written.at(0).queries == Rate{10, s, 0});
}

TEST_CASE("limits are part of what an image is known by") {
    const auto hash = [](const Limits &limits) {
        auto policy = limited("p", limits);
        policy.allow = {web("a", limits)};
        return compile({&policy}, {}).settings.content_hash;
    };
    const auto none = hash({});
    CHECK(hash(with_egress({1 << 20, s, 0})) != none);
    CHECK(hash(with_egress({1 << 20, s, 0})) != hash(with_egress({2 << 20, s, 0})));
    CHECK(hash(with_egress({1 << 20, s, 0})) != hash(with_egress({1 << 20, s, 1 << 20})));
    CHECK(hash(with_quota({100, 10})) != hash(with_quota({100, 10, Quota::egress})));
    CHECK(hash(with_quota({100, 10})) != hash(with_quota({100, 11})));
    CHECK(hash(with_quota({100, 10})) == hash(with_quota({100, 10})));
}

TEST_CASE("explain says which limits hold what it lets pass") {
    auto policy = limited("p", {});
    Limits own = with_egress({10 << 20, s, 20 << 20});
    own.quota = {1 << 30, 86400, Quota::both};
    policy.allow = {web("x", own)};
    policy.limits.connections = Rate{120, 60 * s, 0};
    const auto image = compile({&policy}, {});
    Flow flow;
    flow.remote = *Address::parse("198.51.100.9");
    flow.port = 443;
    const auto path = explain(image, flow).path;
    REQUIRE(path.size() >= 3);
    CHECK(std::vector<std::string>(path.end() - 3, path.end()) ==
          std::vector<std::string>{"allow rule p/x limits egress to 10MiB/s burst 20MiB",
                                   "allow rule p/x limits traffic to a quota of 1GiB per 24h",
                                   "the container limits connections to 120/min"});
    flow.port = 80;
    for (const auto &sentence : explain(image, flow).path)
        CHECK(sentence.find("limits") == std::string::npos);
}

TEST_CASE("explain tells the burst that holds where a smaller one was written") {
    auto policy = limited("p", with_egress({1'000'000, s, 20'000}));
    policy.limits.packets = Rate{500, s, 10};
    policy.limits.connections = Rate{5, s, 1};
    policy.allow = {web("x", with_egress({1'000'000, s, 0}))};
    Flow flow;
    flow.remote = *Address::parse("198.51.100.9");
    flow.port = 443;
    const auto path = explain(compile({&policy}, {}), flow).path;
    REQUIRE(path.size() >= 4);
    CHECK(std::vector<std::string>(path.end() - 4, path.end()) ==
          std::vector<std::string>{"allow rule p/x limits egress to 1MB/s",
                                   "the container limits egress to 1MB/s burst 144KiB",
                                   "the container limits packets to 500/s burst 64",
                                   "the container limits connections to 5/s burst 1"});
}
