// SPDX-License-Identifier: Apache-2.0
// Whole documents: defaults, the dns block, limits, names over several sources.
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;
using Catch::Contains;

TEST_CASE("a policy with nothing but a selector has the documented defaults") {
    const auto p = policy_of("  select: [{cgroup: /x}]");
    CHECK(p.name == "p");
    CHECK(p.mode == Mode::enforce);
    CHECK(p.allow.empty());
    CHECK(p.deny.empty());
    CHECK(p.inbound_allowed);
    CHECK(p.loopback_allowed);
    CHECK_FALSE(p.dns.resolvers_any);
    CHECK_FALSE(p.dns.resolvers.has_value());
    CHECK_FALSE(p.dns.search.has_value());
    CHECK(p.dns.min_ttl_s == 30);
    CHECK_FALSE(p.dns.learn_private);
    CHECK_FALSE(p.limits.any());
}

TEST_CASE("every other field reaches the model") {
    const auto p = policy_of(
        "  mode: audit\n  inbound: deny\n  loopback: deny\n"
        "  dns: {resolvers: [10.0.0.2, 'fd00::2', '::ffff:1.2.3.4'], search: [Svc.Cluster.Local.],\n"
        "        queries: 50/s burst 100, minTTL: 5m, private: allow}\n"
        "  limits: {egress: 1MiB/s, ingress: 2MiB/s, connections: 3/s, packets: 4/s, quota: 5GiB/24h,\n"
        "           queries: 6/s}");
    CHECK(p.mode == Mode::audit);
    CHECK_FALSE(p.inbound_allowed);
    CHECK_FALSE(p.loopback_allowed);
    REQUIRE(p.dns.resolvers.has_value());
    REQUIRE(p.dns.resolvers->size() == 3);
    CHECK(p.dns.resolvers->at(2).text() == "1.2.3.4");
    CHECK(p.dns.search == std::vector<std::string>{"svc.cluster.local"});
    CHECK(p.dns.queries->burst == 100);
    CHECK(p.dns.min_ttl_s == 300);
    CHECK(p.dns.learn_private);
    CHECK(p.limits.packets->amount == 4);
    CHECK(p.limits.quota->window_s == 86400);
    CHECK(p.limits.quota->directions == Quota::both);
    CHECK(p.limits.queries->amount == 6);
}

TEST_CASE("any resolver beside allowed domains is warned of, at its place, and accepted") {
    const std::string any = "  dns: {resolvers: any}\n";
    const auto warned = load_text(document(any + "  allow: [{domains: [a.b]}]"));
    REQUIRE(warned.diagnostics.size() == 1);
    CHECK(warned.diagnostics[0].severity == Diagnostic::Severity::warning);
    CHECK(warned.policies.size() == 1);
    CHECK(faults(warned) ==
          "5:20 spec.dns.resolvers: any server can then teach the container any address for the "
          "domains it may ask for: list the resolvers\n");
    CHECK(faults_of(any + "  allow: [{cidrs: [1.1.1.1]}]\n  deny: [{domains: [a.b]}]") == "");
    CHECK(faults_of("  dns: {resolvers: [10.0.0.2]}\n  allow: [{domains: [a.b]}]") == "");
}

TEST_CASE("a burst below the least is warned of, at its place, and kept as it is written") {
    const auto warned = load_text(
        document("  allow: [{cidrs: [1.1.1.1], limits: {ingress: 1MB/s burst 147455B}}]\n"
                 "  limits: {egress: 1MB/s burst 20KB, packets: 500/s burst 63, queries: 5/s burst 1}"));
    REQUIRE(warned.diagnostics.size() == 3);
    for (const auto &diagnostic : warned.diagnostics)
        CHECK(diagnostic.severity == Diagnostic::Severity::warning);
    CHECK(
        faults(warned) ==
        "5:48 spec.allow[0].limits.ingress: burst 147455B counts as 144KiB, the least: two of TCP's buffers\n"
        "6:20 spec.limits.egress: burst 20KB counts as 144KiB, the least: two of TCP's buffers\n"
        "6:47 spec.limits.packets: burst 63 counts as 64, the least: the packets of one of TCP's buffers\n");
    REQUIRE(warned.policies.size() == 1);
    CHECK(warned.policies[0].limits.egress->burst == 20'000);
    CHECK(faults_of("  limits: {egress: 1MB/s burst 144KiB, ingress: 1B/s, packets: 1/s burst 64, "
                    "connections: 1/s}") == "");
}

TEST_CASE("resolvers are any, a list, or an empty list, and each means its own") {
    CHECK(policy_of("  dns: {resolvers: any}").dns.resolvers_any);
    CHECK(policy_of("  dns: {resolvers: [any]}").dns.resolvers_any);
    const auto none = policy_of("  dns: {resolvers: []}");
    CHECK_FALSE(none.dns.resolvers_any);
    CHECK(none.dns.resolvers == std::vector<Address>{});
    CHECK(policy_of("  dns: {search: []}").dns.search == std::vector<std::string>{});
    CHECK_THAT(faults_of("  dns: {resolvers: [any, 1.1.1.1]}"),
               Contains("5:21 spec.dns.resolvers[0]: any stands alone"));
    CHECK_THAT(faults_of("  dns: {resolvers: some}"),
               Contains("5:20 spec.dns.resolvers: expected a list of addresses or any"));
    CHECK_THAT(faults_of("  dns: {resolvers: [0.0.0.0]}"), Contains("cannot be a resolver"));
    CHECK_THAT(faults_of("  dns: {resolvers: [ff02::fb]}"), Contains("cannot be a resolver"));
    CHECK_THAT(faults_of("  dns: {resolvers: [1.1.1.1/32]}"), Contains("is no address"));
    CHECK_THAT(faults_of("  dns: {search: ['*.a']}"), Contains("spec.dns.search[0]: * stands only alone"));
    CHECK_THAT(faults_of("  dns: {minTTL: 8d}"), Contains("longer than a week"));
}

TEST_CASE("the head of a document is required and exact") {
    const auto head = [](const std::string &text) {
        return faults(load_text(text + "spec: {select: [{cgroup: /x}]}\n"));
    };
    CHECK_THAT(head("kind: EgressPolicy\nmetadata: {name: p}\n"), Contains("1:1 : apiVersion is missing"));
    CHECK_THAT(head("apiVersion: penstock/v2\nkind: EgressPolicy\nmetadata: {name: p}\n"),
               Contains("1:13 apiVersion: unknown"));
    CHECK_THAT(head("apiVersion: penstock/v1\nkind: Policy\nmetadata: {name: p}\n"),
               Contains("2:7 kind: unknown"));
    CHECK_THAT(head("apiVersion: penstock/v1\nkind: EgressPolicy\n"), Contains("metadata is missing"));
    CHECK_THAT(head("apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {}\n"),
               Contains("3:11 metadata: name is missing"));
    CHECK(head("apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {nam: p}\n") ==
          "3:12 metadata: unknown field \"nam\"; did you mean \"name\"?\n");
    CHECK_THAT(faults(load_text("apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: p}\n")),
               Contains("spec is missing"));
    CHECK_THAT(faults(load_text("[]\n")), Contains("1:1 : expected a mapping, found a list"));
}

TEST_CASE("policy names are unique over all sources, and both places are named") {
    const auto loaded = load({Source{"a.yaml", document("  mode: audit"), Format::yaml},
                              Source{"b.yaml", "---\n" + document("  mode: audit"), Format::yaml}});
    REQUIRE(loaded.diagnostics.size() == 1);
    CHECK(loaded.diagnostics[0].text() ==
          "b.yaml:4:18: error: metadata.name: the name \"p\" is taken by the policy at a.yaml:3:18");
    CHECK(loaded.policies.size() == 1);
}

TEST_CASE("the format follows the name of the file") {
    CHECK(format_of("a.yaml") == Format::yaml);
    CHECK(format_of("a.yml") == Format::yaml);
    CHECK(format_of("/x.json/a.json") == Format::json);
    CHECK(format_of("a.pb") == Format::protobuf);
    CHECK(format_of("pb") == Format::yaml);
}
