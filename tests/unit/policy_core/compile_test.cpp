// SPDX-License-Identifier: Apache-2.0
// The form of the image: keys, order, what is left out, ids. What it means is against_naive_test's.
#include "policy/explain.h"

#include <catch2/catch.hpp>

#include <random>
#include <string>

using namespace penstock;
using namespace penstock::policy;

namespace {

Rule domain_rule(std::string name, std::vector<NamePattern> domains, std::vector<PortRange> ports = {}) {
    Rule rule;
    rule.name = std::move(name);
    rule.domains = std::move(domains);
    rule.ports = std::move(ports);
    return rule;
}

NamePattern exact(std::string name) {
    return {NamePattern::Kind::exact, std::move(name)};
}
NamePattern below(std::string name) {
    return {NamePattern::Kind::below, std::move(name)};
}

std::vector<std::string> keys(const Image &image) {
    std::vector<std::string> keys;
    for (const auto &entry : image.names)
        keys.push_back(entry.reversed);
    return keys;
}

const std::string nul(1, '\0');

} // namespace

TEST_CASE("name keys have the form of the trie, the most specific first") {
    Policy policy;
    policy.name = "p";
    policy.allow = {domain_rule("one", {exact("a.b")}), domain_rule("two", {below("a.b")}),
                    domain_rule("all", {{NamePattern::Kind::every, ""}})};
    const auto image = compile({&policy}, {});
    CHECK(keys(image) == std::vector<std::string>{"b.a" + nul, "b.a.", ""});
    CHECK(image.names[0].match.rule == rule_id("p", "one"));
    CHECK(image.names[1].match.rule == rule_id("p", "two"));
}

TEST_CASE("a name that says what its cover says is left out") {
    Policy policy;
    policy.name = "p";
    policy.allow = {domain_rule("one", {below("b"), exact("a.b"), below("a.b"), exact("b")})};
    CHECK(keys(compile({&policy}, {})) == std::vector<std::string>{"b" + nul, "b."});
    policy.deny = {domain_rule("no", {exact("x.a.b")})};
    const auto image = compile({&policy}, {});
    CHECK(keys(image) == std::vector<std::string>{"b.a.x" + nul, "b" + nul, "b."});
    CHECK(image.names[0].match.verdict == abi::PS_DENY);
    CHECK(image.names[0].match.rule == rule_id("p", "no"));
}

TEST_CASE("search suffixes follow allowed and denied names, and what grows over 253 octets is left out") {
    Policy policy;
    policy.name = "p";
    const std::string fits(253 - 4, 'x');
    policy.allow = {domain_rule("one", {exact("a"), exact(fits), exact(fits + "x")})};
    policy.deny = {domain_rule("no", {below("d")})};
    const auto image = compile({&policy}, Environment{{}, {"svc"}});
    CHECK(find_name(image, "a.svc")->verdict == abi::PS_ALLOW);
    CHECK(find_name(image, "x.d.svc")->verdict == abi::PS_DENY);
    CHECK_FALSE(find_name(image, "d.svc"));
    CHECK(find_name(image, fits + ".svc")->verdict == abi::PS_ALLOW);
    CHECK(image.names.size() == 7);
    policy.dns.search.emplace();
    CHECK_FALSE(find_name(compile({&policy}, Environment{{}, {"svc"}}), "a.svc"));
}

TEST_CASE("a deny rule with ports leaves the query open and the name's rule set holds it") {
    Policy policy;
    policy.name = "p";
    policy.allow = {domain_rule("yes", {exact("a")})};
    policy.deny = {domain_rule("no", {below("b"), exact("a")}, {{Protocol::tcp, 25, 25}})};
    const auto image = compile({&policy}, {});
    const auto allowed = *find_name(image, "a");
    CHECK(allowed.verdict == abi::PS_ALLOW);
    CHECK(find_port(image, allowed.rule_set, 6, 25)->verdict == abi::PS_DENY);
    CHECK(find_port(image, allowed.rule_set, 6, 26)->verdict == abi::PS_ALLOW);
    CHECK(find_port(image, allowed.rule_set, 17, 25)->verdict == abi::PS_ALLOW);
    CHECK_FALSE(find_port(image, allowed.rule_set, 1, 0));
    CHECK(allowed.private_set == 0);
    const auto only_denied = *find_name(image, "x.b");
    CHECK(only_denied.verdict == abi::PS_NONE);
    CHECK(only_denied.rule == 0);
}

TEST_CASE("ports are cut into the fewest prefixes") {
    Policy policy;
    policy.name = "p";
    policy.allow = {domain_rule("yes", {exact("a")},
                                {{Protocol::tcp, 80, 90}, {Protocol::tcp, 91, 95}, {Protocol::icmp, 0, 0}})};
    const auto image = compile({&policy}, {});
    REQUIRE(image.rule_sets.size() == 1);
    const auto &entries = image.rule_sets.begin()->second;
    REQUIRE(entries.size() == 3); // 80/12 of TCP, ICMP, ICMPv6
    CHECK(entries[0].port == 80);
    CHECK(entries[0].prefix_bits == 12);
    CHECK(entries[1].protocol == 1);
    CHECK(entries[2].protocol == 58);
    CHECK(entries[2].prefix_bits == 0);
}

TEST_CASE("every port has the rule that comes first") {
    std::mt19937 random(7);
    const auto port = [&] {
        return static_cast<std::uint16_t>(random() % 4 ? random() % 300 : random() % 65536);
    };
    for (int round = 0; round < 20; ++round) {
        Policy policy;
        policy.name = "p";
        for (int i = 0; i < 6; ++i) {
            const auto a = port(), b = port();
            auto rule = domain_rule(std::to_string(i), {exact("a")},
                                    {{Protocol::tcp, std::min(a, b), std::max(a, b)}});
            (i < 3 ? policy.deny : policy.allow).push_back(rule);
        }
        const auto image = compile({&policy}, {});
        const auto set = find_name(image, "a")->rule_set;
        const auto expected = [&](std::uint16_t p) -> std::uint64_t {
            for (const auto *rules : {&policy.deny, &policy.allow})
                for (const auto &rule : *rules)
                    if (p >= rule.ports[0].first && p <= rule.ports[0].last)
                        return rule_id("p", rule.name);
            return 0;
        };
        for (unsigned p = 0; p < 65536; ++p) {
            const auto number = static_cast<std::uint16_t>(p);
            const auto found = find_port(image, set, 6, number);
            if ((found ? found->rule : 0) != expected(number))
                FAIL("round " << round << " port " << p);
        }
    }
}

TEST_CASE("v6 CIDRs say nothing of v4, and neither stands between the other's covers") {
    Policy policy;
    policy.name = "p";
    Rule rule;
    rule.name = "all";
    rule.cidrs = {*Cidr::parse("::/0"), *Cidr::parse("10.0.0.0/8"), *Cidr::parse("10.1.0.0/16"),
                  *Cidr::parse("::ffff:ffff:0:0/96"), *Cidr::parse("2001:db8::/32")};
    policy.allow = {rule};
    const auto image = compile({&policy}, {});
    REQUIRE(image.cidrs.size() == 2);
    CHECK(image.cidrs[0].cidr.text() == "10.0.0.0/8");
    CHECK(image.cidrs[1].cidr.text() == "::/0");
    CHECK(image.cidrs[0].match.private_set == 0);
    CHECK_FALSE(find_address(image, *Address::parse("11.0.0.1")));
}

TEST_CASE("several policies unite, in any order, to the same image") {
    Policy p, q;
    p.name = "p";
    q.name = "q";
    p.mode = Mode::audit;
    p.dns.min_ttl_s = 5;
    p.dns.learn_private = true;
    q.dns.min_ttl_s = 60;
    q.inbound_allowed = false;
    q.loopback_allowed = false;
    p.dns.resolvers = {*Address::parse("10.0.0.3"), *Address::parse("10.0.0.2")};
    p.allow = {domain_rule("same", {exact("a")}), domain_rule("b", {exact("b")})};
    q.allow = {domain_rule("same", {exact("a")})};
    const Environment environment{{*Address::parse("10.0.0.2")}, {"local"}};
    const auto image = compile({&p, &q}, environment);
    CHECK(image.settings.mode == abi::PS_MODE_ENFORCE);
    CHECK(image.settings.min_ttl_s == 60);
    CHECK(image.settings.inbound == abi::PS_DENY);
    CHECK(image.settings.loopback == abi::PS_DENY);
    CHECK(image.settings.generation == 0);
    CHECK(image.resolvers.size() == 2);
    CHECK(image.policies == std::vector<std::string>{"p", "q"});
    CHECK(find_name(image, "a")->rule == rule_id("p", "same"));
    CHECK(find_name(image, "a")->private_set != 0);
    CHECK(compile({&q, &p}, environment).settings.content_hash == image.settings.content_hash);
    CHECK(compile({&p}, environment).settings.mode == abi::PS_MODE_AUDIT);
}

TEST_CASE("ids are the same on every host, and differ where content differs") {
    CHECK(rule_id("coding-agents", "llm") == 0x349d90b29a968a44ULL); // reckoned with hashlib
    CHECK(rule_id("a", "bc") != rule_id("ab", "c"));
    Policy policy;
    policy.name = "p";
    policy.allow = {domain_rule("one", {exact("a")})};
    const auto before = compile({&policy}, {}).settings.content_hash;
    policy.dns.min_ttl_s = 31;
    CHECK(compile({&policy}, {}).settings.content_hash != before);
    policy.dns.min_ttl_s = 30;
    CHECK(compile({&policy}, {}).settings.content_hash == before);
    policy.allow[0].domains[0].name = "b";
    CHECK(compile({&policy}, {}).settings.content_hash != before);
}
