// SPDX-License-Identifier: Apache-2.0
// Which changes may be made under the packets, and in what order. The last test plays every step of random changes.
#include "userspace/sync/diff.h"
#include "userspace/sync/keys.h"

#include "policy/explain.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using namespace penstock;
using policy::NamePattern;
using sync::Way;

namespace {

policy::Rule rule(const std::string &name, std::vector<NamePattern> domains, std::vector<std::string> cidrs,
                  std::uint16_t port) {
    policy::Rule made;
    made.name = name;
    made.domains = std::move(domains);
    for (const std::string &cidr : cidrs)
        made.cidrs.push_back(*policy::Cidr::parse(cidr));
    if (port)
        made.ports.push_back({policy::Protocol::tcp, port, port});
    return made;
}

NamePattern exact(const std::string &name) {
    return {NamePattern::Kind::exact, name};
}
NamePattern below(const std::string &name) {
    return {NamePattern::Kind::below, name};
}

policy::Policy base_policy() {
    policy::Policy policy;
    policy.name = "p";
    policy.allow.push_back(rule("a", {exact("a.com"), below("b.com")}, {"10.0.0.0/8"}, 443));
    return policy;
}

policy::Image compiled(const policy::Policy &policy) {
    return policy::compile({&policy}, {});
}

Way way(const policy::Policy &from, const policy::Policy &to) {
    const policy::Image a = compiled(from), b = compiled(to);
    return sync::diff(a, b, 1000).way;
}

} // namespace

TEST_CASE("only allows added loosens; only taken away tightens, and both is mixed") {
    const policy::Policy from = base_policy();
    policy::Policy to = from;
    SECTION("nothing") {
        CHECK(way(from, to) == Way::none);
    }
    SECTION("a name, a CIDR") {
        to.allow[0].domains.push_back(exact("x.b.com"));
        to.allow[0].domains.push_back(exact("c.com"));
        to.allow[0].cidrs.push_back(*policy::Cidr::parse("2001:db8::/32"));
        CHECK(way(from, to) == Way::loosens);
        CHECK(way(to, from) == Way::tightens);
    }
    SECTION("a port") {
        to.allow[0].ports.push_back({policy::Protocol::tcp, 80, 90});
        CHECK(way(from, to) == Way::loosens);
        CHECK(way(to, from) == Way::tightens);
    }
    SECTION("a deny") {
        to.deny.push_back(rule("d", {exact("bad.b.com")}, {}, 0));
        CHECK(way(from, to) == Way::tightens);
        CHECK(way(to, from) == Way::loosens);
    }
    SECTION("one comes, one goes") {
        to.allow[0].domains[0] = exact("z.com");
        CHECK(way(from, to) == Way::mixed);
    }
    SECTION("a port is exchanged") {
        to.allow[0].ports[0] = {policy::Protocol::tcp, 8443, 8443};
        CHECK(way(from, to) == Way::mixed);
    }
    SECTION("the mode") {
        to.mode = policy::Mode::audit;
        CHECK(way(from, to) == Way::mixed);
    }
    SECTION("a name that a pattern covers already") {
        to.allow[0].domains.push_back(exact("y.b.com"));
        CHECK((way(from, to) == Way::none || way(from, to) == Way::loosens));
    }
}

TEST_CASE("other limits are another policy") {
    const policy::Policy from = base_policy();
    policy::Policy container = from, rule = from;
    container.limits.egress = policy::Rate{1 << 20, 1'000'000'000, 0};
    rule.allow[0].limits.quota = policy::Quota{1 << 20, 60};
    for (const policy::Policy &to : {container, rule}) {
        CHECK(way(from, to) == Way::mixed);
        CHECK(way(to, from) == Way::mixed);
        CHECK(way(to, to) == Way::none);
    }
    policy::Policy faster = container;
    faster.limits.egress->amount *= 2;
    CHECK(way(container, faster) == Way::mixed);
}

TEST_CASE("one name among many is one entry, and the limit holds") {
    policy::Policy from = base_policy();
    for (int i = 0; i < 500; i++)
        from.allow[0].domains.push_back(exact("host" + std::to_string(i) + ".com"));
    policy::Policy to = from;
    to.allow[0].domains.push_back(exact("new.com"));
    const policy::Image a = compiled(from), b = compiled(to), none = compiled(base_policy());
    const sync::Difference one = sync::diff(a, b, 1000);
    CHECK(one.size() == 1);
    REQUIRE(one.set_names.size() == 1);
    CHECK(one.set_names[0]->reversed == std::string("moc.wen") + '\0');
    CHECK(sync::diff(none, b, 100).way == Way::mixed);
}

// Writes a difference into a copy of the image step by step, and asks after each step.
TEST_CASE("at every step of a change each look-up gives the old or the new answer") {
    const unsigned seed = std::random_device()();
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    const std::vector<std::string> zones{"com", "a.com", "b.a.com", "c.b.a.com", "d.com", "e.d.com"};
    const auto any_policy = [&] {
        policy::Policy policy;
        policy.name = "p";
        for (int i = 0, n = 1 + pick(4); i < n; i++) {
            auto &rules = pick(3) ? policy.allow : policy.deny;
            const std::string &zone = zones[static_cast<std::size_t>(pick(6))];
            rules.push_back(rule((&rules == &policy.allow ? "a" : "d") + std::to_string(i),
                                 {pick(2) ? exact(zone) : below(zone)}, {}, pick(2) ? 443 : 0));
        }
        return policy;
    };
    for (int round = 0; round < 2000; round++) {
        const policy::Image from = compiled(any_policy()), to = compiled(any_policy());
        const sync::Difference change = sync::diff(from, to, 1000);
        policy::Image now = from;
        const auto check = [&] {
            for (const std::string &zone : zones)
                for (const std::string &name : {zone, "x." + zone}) {
                    const auto old = policy::find_name(from, name), next = policy::find_name(to, name),
                               is = policy::find_name(now, name);
                    const auto same = [&](const auto &other) {
                        return is.has_value() == other.has_value() &&
                               (!is || (is->rule_set == other->rule_set && is->verdict == other->verdict &&
                                        is->rule == other->rule && is->private_set == other->private_set));
                    };
                    if (!same(old) && !same(next))
                        FAIL("round " << round << ": " << name << " has a third answer");
                }
        };
        for (const policy::NameEntry *entry : change.set_names) {
            const auto place = std::ranges::find(now.names, entry->reversed, &policy::NameEntry::reversed);
            if (place != now.names.end())
                place->match = entry->match;
            else
                now.names.insert(
                    std::ranges::find_if(now.names,
                                         [&](const policy::NameEntry &other) {
                                             return other.reversed.size() != entry->reversed.size()
                                                        ? other.reversed.size() < entry->reversed.size()
                                                        : other.reversed > entry->reversed;
                                         }),
                    *entry);
            check();
        }
        for (const policy::NameEntry *entry : change.drop_names) {
            now.names.erase(std::ranges::find(now.names, entry->reversed, &policy::NameEntry::reversed));
            check();
        }
        REQUIRE(now.names.size() == to.names.size());
    }
}

TEST_CASE("keys have the layout the programs look up") {
    const auto name = sync::name_key(0x1234, std::string("moc.a") + '\0');
    CHECK(name.prefixlen == 16 + 6 * 8);
    CHECK(name.policy == 0x1234);
    CHECK(std::string(name.name, name.name + 5) == "moc.a");
    CHECK(sync::name_key(1, "").prefixlen == 16);

    const auto v4 = *policy::Cidr::parse("10.1.0.0/16");
    REQUIRE(sync::is_v4(v4));
    CHECK(sync::cidr4_key(1, v4).prefixlen == 16 + 16);
    CHECK(sync::cidr4_key(1, v4).address[0] == 10);
    const auto v6 = *policy::Cidr::parse("2001:db8::/32");
    REQUIRE_FALSE(sync::is_v4(v6));
    CHECK(sync::cidr6_key(1, v6).prefixlen == 16 + 32);

    const auto port = sync::port_key(7, {6, 443, 16, {}});
    CHECK(port.prefixlen == 64 + 8 + 16);
    CHECK(port.port_be[0] == 1);
    CHECK(port.port_be[1] == 0xbb);
}
