// SPDX-License-Identifier: Apache-2.0
// What explain says that random comparison does not reach: the birth policies, the texts for people, reverse names.
#include "policy/explain.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::policy;

TEST_CASE("a birth image gives its own reason, an open one passes everything") {
    Image image;
    image.settings.mode = abi::PS_MODE_ENFORCE;
    image.settings.resolvers_any = 1;
    image.settings.default_reason = abi::PS_R_BIRTH;
    const Flow flow{*Address::parse("1.2.3.4"), 6, 443, {}};
    CHECK(explain(image, flow).reason == abi::PS_R_BIRTH);
    image.settings.mode = abi::PS_MODE_AUDIT;
    CHECK(explain(image, flow).verdict == abi::PS_WOULD_DENY);
    image.settings.mode = abi::PS_MODE_OPEN;
    CHECK(explain(image, flow).reason == abi::PS_R_OPEN);
    CHECK(explain(image, Question{"x", flow.remote, {}}).verdict == abi::PS_ALLOW);
}

TEST_CASE("the path names the CIDR, the learned names and the rule") {
    Policy policy;
    policy.name = "p";
    Rule rule;
    rule.name = "web";
    rule.domains = {{NamePattern::Kind::below, "example.com"}};
    policy.allow = {rule};
    const auto image = compile({&policy}, {});
    const Flow flow{
        *Address::parse("1.2.3.4"), 6, 443, {{"old.example.com", true}, {"www.example.com", false}}};
    const auto verdict = explain(image, flow);
    CHECK(verdict.verdict == abi::PS_ALLOW);
    CHECK(verdict.reason == abi::PS_R_LEARNED);
    CHECK(verdict.rule == rule_id("p", "web"));
    CHECK(verdict.name == "www.example.com");
    REQUIRE(verdict.path.size() == 4);
    CHECK(verdict.path[1].find("expired") != std::string::npos);
    CHECK(verdict.path.back() == "allow rule p/web names the port");
}

TEST_CASE("without ports an allow rule opens no ICMP, and a deny rule denies it too") {
    Policy policy;
    policy.name = "p";
    Rule all, pings, hole;
    all.name = "all";
    all.cidrs = {*Cidr::parse("10.0.0.0/8")};
    const auto icmp = [&](std::uint8_t last) {
        return explain(compile({&policy}, {}),
                       Flow{*Address::parse("10.0.0." + std::to_string(last)), 1, 0, {}});
    };
    policy.allow = {all};
    CHECK(icmp(1).reason == abi::PS_R_NO_RULE);
    pings = all;
    pings.name = "pings";
    pings.ports = {{Protocol::icmp, 0, 0}};
    policy.allow = {pings};
    CHECK(icmp(1).reason == abi::PS_R_CIDR);
    hole.name = "hole";
    hole.cidrs = {*Cidr::parse("10.0.0.2/32")};
    policy.deny = {hole};
    CHECK(icmp(1).reason == abi::PS_R_CIDR);
    CHECK(icmp(2).reason == abi::PS_R_DENY_RULE);
}

TEST_CASE("Docker's resolver and port 53 are DNS, not loopback and not a rule's") {
    Policy policy;
    policy.name = "p";
    const auto docker = *Address::parse("127.0.0.11");
    policy.dns.resolvers = std::vector<Address>{docker};
    const auto with = compile({&policy}, {});
    const auto session = explain(with, Flow{docker, 6, 443, {}});
    CHECK(session.verdict == abi::PS_ALLOW);
    CHECK(session.reason == abi::PS_R_DNS_SESSION);
    CHECK(session.path.front().find("every port of 127.0.0.11") != std::string::npos);
    CHECK(explain(with, Flow{*Address::parse("127.0.0.1"), 6, 443, {}}).reason == abi::PS_R_LOOPBACK);
    CHECK(explain(with, Flow{*Address::parse("9.9.9.9"), 17, 53, {}}).reason == abi::PS_R_RESOLVER);
    policy.dns.resolvers = std::vector<Address>{};
    CHECK(explain(compile({&policy}, {}), Flow{docker, 17, 40000, {}}).reason == abi::PS_R_RESOLVER);
}

TEST_CASE("reverse names of whole addresses, and of nothing else") {
    CHECK(reverse_address("1.2.0.10.in-addr.arpa") == Address::parse("10.0.2.1"));
    CHECK(reverse_address("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa") ==
          Address::parse("2001:db8::1"));
    const std::string bad = GENERATE(
        as<std::string>{}, "in-addr.arpa", ".in-addr.arpa", "2.0.10.in-addr.arpa", "1.1.2.0.10.in-addr.arpa",
        "01.2.0.10.in-addr.arpa", "256.2.0.10.in-addr.arpa", "1.2.0.10.ip6.arpa", "1..0.10.in-addr.arpa",
        "+1.2.0.10.in-addr.arpa", "1.2.0.10.xin-addr.arpa",
        "g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    INFO(bad);
    CHECK_FALSE(reverse_address(bad));
}
