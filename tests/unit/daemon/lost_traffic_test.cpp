// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lost_traffic.h"

#include "policy/load.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::daemon;

namespace {

std::vector<policy::Policy> policies(const std::string &name, const std::string &rest,
                                     const std::string &cgroup = "/p/web") {
    auto loaded = policy::load({{"-",
                                 "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: " + name +
                                     "}\nspec:\n  select: [{cgroup: " + cgroup + "}]\n" + rest,
                                 policy::Format::yaml}});
    REQUIRE_FALSE(policy::has_errors(loaded.diagnostics));
    return loaded.policies;
}

telemetry::CounterRow row(std::string domain, std::string rule = "web") {
    telemetry::CounterRow row;
    row.container = "/p/web";
    row.policy = "p";
    row.rule = std::move(rule);
    row.domain = std::move(domain);
    row.verdict = abi::PS_ALLOW;
    row.packets = 7;
    return row;
}

std::string lost(const std::vector<policy::Policy> &wanted, std::vector<telemetry::CounterRow> counters,
                 const container::BirthRules &birth = {}) {
    const auto now =
        policies("p", "  allow:\n    - {name: web, domains: [a.test, b.test], ports: [tcp/443]}\n"
                      "    - {name: net, cidrs: [192.0.2.0/25, '2001:db8::/32'], ports: [tcp/5000-5009]}\n"
                      "    - {name: any, cidrs: [198.51.100.7]}\n");
    const policy::Environment environment{{*policy::Address::parse("10.0.0.2")}, {}};
    const std::string root = "/";
    std::string text;
    for (const auto &entry : lost_traffic({wanted, now, root, birth, environment, counters}))
        text += entry.row.domain + ": " + entry.why + "\n";
    return text;
}

} // namespace

TEST_CASE("names that passed and would be denied are told") {
    const auto rows = {row("a.test"), row("b.test"), row("(other)"), row("")};
    CHECK(lost(policies("p", "  allow: [{domains: [a.test], ports: [tcp/443]}]\n"), rows) ==
          "b.test: name-not-allowed\n");
    CHECK(lost(policies("p", "  allow: [{domains: ['*.test'], ports: [tcp/80]}]\n"), rows) ==
          "a.test: no-rule\nb.test: no-rule\n");
    CHECK(lost(policies("p", "  allow: [{domains: ['*.test']}]\n"), rows).empty());
}

TEST_CASE("beside what stays in force only a deny takes something away") {
    const auto rows = {row("a.test"), row("b.test")};
    CHECK(lost(policies("q", "  allow: [{domains: [c.test]}]\n"), rows).empty());
    CHECK(lost(policies("q", "  deny: [{domains: [b.test]}]\n"), rows) == "b.test: name-denied\n");
}

TEST_CASE("a deny of some addresses takes no name away for certain; one of all does") {
    const auto rows = {row("a.test"), row("b.test")};
    const std::string allow = "  allow: [{name: web, domains: [a.test, b.test], ports: [tcp/443]}]\n";
    const std::string bogons =
        "cidrs: [10.0.0.0/8, 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, '2001:db8::/32']";
    CHECK(lost(policies("p", allow + "  deny: [{" + bogons + "}]\n"), rows).empty());
    CHECK(lost(policies("q", "  deny: [{" + bogons + "}]\n"), rows).empty());
    CHECK(lost(policies("q", "  deny: [{" + bogons + ", domains: [b.test]}]\n"), rows) ==
          "b.test: name-denied\n");
    CHECK(lost(policies("q", "  deny: [{cidrs: [0.0.0.0/0], ports: [tcp/443]}]\n"), rows)
              .empty()); // by v6 it passes
    CHECK(lost(policies("q", "  deny: [{cidrs: [0.0.0.0/0, '::/0'], ports: [tcp/443]}]\n"), rows) ==
          "a.test: deny-rule\nb.test: deny-rule\n");
}

TEST_CASE("a container that the text lets go of loses all it had, where its birth verdict denies") {
    auto by_address = row("");
    auto by_none = row("");
    by_none.policy = by_none.rule = "";
    const auto rows = {row("a.test"), by_address, by_none};
    const std::string rest = "  allow: [{name: web, domains: [a.test], ports: [tcp/443]}]\n";
    const auto elsewhere = policies("p", rest, "/p/other");
    const container::BirthRules strict{{{"/p", abi::PS_POLICY_BIRTH_DENY}}, {}, {}};
    CHECK(lost(elsewhere, rows, strict) == "a.test: birth\n: birth\n");
    CHECK(lost(elsewhere, rows, {{{"/p", abi::PS_POLICY_BIRTH_ALLOW}}, {}, {}}).empty());
    CHECK(lost(elsewhere, rows, {{{"/p", abi::PS_POLICY_BIRTH_AUDIT}}, {}, {}}).empty());
    CHECK(lost(elsewhere, rows).empty()); // nobody holds it any more
    CHECK(lost(policies("p", rest), rows, strict).empty());
    CHECK(lost(policies("q", rest, "/p/other"), rows, strict).empty()); // p still selects it
    auto never = row("a.test");
    never.container = "/p/never"; // was denied from birth before
    CHECK(lost(elsewhere, {never}, strict).empty());
    // What it becomes a part of holds it.
    CHECK(lost(policies("p", "  allow: [{domains: [c.test]}]\n", "/p"), {row("a.test")}, strict) ==
          "a.test: name-not-allowed\n");
}

TEST_CASE("what a rule allowed by address is lost when none of it is open any more") {
    auto net = row("", "net"), any = row("", "any"), learned = row("", "web");
    net.reason = any.reason = abi::PS_R_CIDR;
    learned.reason = abi::PS_R_LEARNED;
    const auto after = [&](const std::string &rest) {
        return lost(policies("p", rest), {net, any, learned});
    };
    const std::string both = ": no-rule\n: no-rule\n", one = ": no-rule\n";
    CHECK(after("  allow: [{domains: [a.test], ports: [tcp/443]}]\n") == both);
    // In part it may be what passed.
    CHECK(after("  allow: [{cidrs: [192.0.2.9], ports: [tcp/5009-6000]}]\n") == one);
    CHECK(after("  allow: [{cidrs: ['::/0']}]\n") == one);
    CHECK(after("  allow: [{cidrs: [192.0.0.0/8, 198.51.100.0/24]}]\n").empty());
    CHECK(after("  allow: [{cidrs: [192.0.2.0/25, '2001:db8::/32'], ports: [udp/5000-5009, tcp/5010]}]\n") ==
          both);
    CHECK(after("  allow: [{cidrs: [192.0.2.0/25], ports: [udp/5000]}, {cidrs: [10.0.0.0/8], ports: "
                "[tcp/5000]}]\n") == both);
    CHECK(after("  allow: [{cidrs: [198.51.100.7], ports: [icmp]}]\n") == both);
    // A deny takes it away where it covers all of it.
    const std::string all = "  allow: [{cidrs: [0.0.0.0/0, '::/0']}]\n";
    CHECK(after(all).empty());
    CHECK(after(all + "  deny: [{cidrs: [192.0.2.0/25, '2001:db8::/32'], ports: [tcp/5000-5009]}]\n") ==
          ": deny-rule\n");
    CHECK(after(all + "  deny: [{cidrs: [192.0.2.0/25], ports: [tcp/5000-5009]}]\n").empty());
    CHECK(
        after(all + "  deny: [{cidrs: [192.0.2.0/24, '2001:db8::/32'], ports: [tcp/5000-5008]}]\n").empty());
    CHECK(after(all + "  deny: [{cidrs: [198.51.100.0/24]}]\n") == ": deny-rule\n");
    CHECK(lost(policies("q", "  deny: [{cidrs: [198.51.100.0/24]}]\n"), {net, any}) == ": deny-rule\n");
    CHECK(lost(policies("q", all), {net, any}).empty());
}
