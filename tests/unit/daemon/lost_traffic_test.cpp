// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lost_traffic.h"

#include "policy/load.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::daemon;

namespace {

std::vector<policy::Policy> policies(const std::string &name, const std::string &rest) {
    auto loaded = policy::load({{"-",
                                 "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: " + name +
                                     "}\nspec:\n  select: [{cgroup: /p/web}]\n" + rest,
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

std::string lost(const std::vector<policy::Policy> &wanted, std::vector<telemetry::CounterRow> counters) {
    const auto now = policies("p", "  allow: [{name: web, domains: [a.test, b.test], ports: [tcp/443]}]\n");
    const policy::Environment environment{{*policy::Address::parse("10.0.0.2")}, {}};
    const std::string root = "/";
    std::string text;
    for (const auto &entry : lost_traffic({wanted, now, root, environment, counters}))
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
