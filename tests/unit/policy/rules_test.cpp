// SPDX-License-Identifier: Apache-2.0
// Rules: ports, CIDRs, names, and what allow and deny rules may hold.
#include "policy/network.h"
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;
using Catch::Contains;

namespace {

template <class T> std::string fault(const Outcome<T> &outcome) {
    return outcome ? "no fault" : outcome.error().message;
}

} // namespace

TEST_CASE("ports are a protocol with a port, a range or nothing") {
    CHECK(*parse_port_range("tcp/443") == PortRange{Protocol::tcp, 443, 443});
    CHECK(*parse_port_range("udp/80-90") == PortRange{Protocol::udp, 80, 90});
    CHECK(*parse_port_range("udp/1-65535") == PortRange{Protocol::udp, 1, 65535});
    CHECK(*parse_port_range("tcp/7-7") == PortRange{Protocol::tcp, 7, 7});
    CHECK(*parse_port_range("tcp") == PortRange{Protocol::tcp, 0, 65535});
    CHECK(*parse_port_range("udp") == PortRange{Protocol::udp, 0, 65535});
    CHECK(*parse_port_range("icmp") == PortRange{Protocol::icmp, 0, 0});
}

TEST_CASE("faulty ports say what was expected") {
    CHECK_THAT(fault(parse_port_range("tcp/90-80")), Contains("reversed; expected 80-90"));
    CHECK_THAT(fault(parse_port_range("tcp/0")), Contains("1 to 65535"));
    CHECK_THAT(fault(parse_port_range("tcp/65536")), Contains("1 to 65535"));
    CHECK_THAT(fault(parse_port_range("tcp/0-10")), Contains("1 to 65535"));
    CHECK_THAT(fault(parse_port_range("443")), Contains("tcp/443"));
    CHECK_THAT(fault(parse_port_range("80-90")), Contains("tcp/80-90"));
    CHECK_THAT(fault(parse_port_range("sctp/5")), Contains("expected tcp, udp or icmp"));
    CHECK_THAT(fault(parse_port_range("icmp/8")), Contains("icmp has no ports"));
    for (const char *text : {"", "/", "tcp/", "tcp/-", "tcp/1-", "tcp/-1", "tcp/http", "TCP/1", "tcp/0443",
                             "tcp/1-2-3", "tcp/ 1", "tcp/443 ", "tcp/+1", "tcp/99999999999999999999"}) {
        INFO(text);
        CHECK_FALSE(parse_port_range(text));
    }
}

TEST_CASE("CIDRs: v4, v6, v4-mapped, and addresses alone") {
    CHECK(parse_cidr("10.0.0.0/8")->text() == "10.0.0.0/8");
    CHECK(parse_cidr("10.0.0.1")->length == 128);
    CHECK(parse_cidr("0.0.0.0/0")->length == 96);
    CHECK(parse_cidr("::/0")->length == 0);
    CHECK(parse_cidr("2001:db8::/32")->length == 32);
    CHECK(*parse_cidr("::ffff:10.0.0.0/104") == *parse_cidr("10.0.0.0/8"));
    CHECK(*parse_cidr("::ffff:10.0.0.1") == *parse_cidr("10.0.0.1/32"));
}

TEST_CASE("a CIDR with host bits names the network that was meant") {
    CHECK_THAT(fault(parse_cidr("10.1.2.3/16")), Contains("the network is 10.1.0.0/16"));
    CHECK_THAT(fault(parse_cidr("2001:db8::1/32")), Contains("the network is 2001:db8::/32"));
    CHECK_THAT(fault(parse_cidr("10.0.0.1/31")), Contains("the network is 10.0.0.0/31"));
    for (const char *text :
         {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/08", "10.0.0.0/-1",
          "10.0.0.0/8/8", "fe80::1%eth0", "010.0.0.0/8", "example.com", "10.0.0.0 /8"}) {
        INFO(text);
        CHECK_FALSE(parse_cidr(text));
    }
}

TEST_CASE("a rule names domains or cidrs") {
    CHECK_THAT(faults_of("  allow: [{ports: [tcp/443]}]"),
               Contains("5:11 spec.allow[0]: the rule names nothing"));
    CHECK_THAT(faults_of("  deny: [{domains: [], cidrs: []}]"),
               Contains("5:10 spec.deny[0]: the rule names nothing"));
    CHECK(faults_of("  allow: [{domains: [a.b], cidrs: [1.1.1.1]}]") == "");
    // A list that could not be read is no empty list: one fault, not two.
    CHECK(load_text(document("  allow: [{domains: a.b}]")).diagnostics.size() == 1);
    CHECK(load_text(document("  allow: [{domain: [a.b]}]")).diagnostics.size() == 1);
    CHECK(load_text(document("  allow: [{cidrs: [1]}]")).diagnostics.size() == 1);
}

TEST_CASE("an empty list of ports is refused rather than read as every port") {
    CHECK_THAT(faults_of("  allow: [{domains: [a.b], ports: []}]"),
               Contains("5:35 spec.allow[0].ports: an empty list"));
    CHECK(policy_of("  allow: [{domains: [a.b]}]").allow[0].ports.empty());
}

TEST_CASE("a deny rule has neither limits nor private") {
    CHECK_THAT(faults_of("  deny: [{cidrs: [1.1.1.1], limits: {egress: 1MiB/s}}]"),
               Contains("5:37 spec.deny[0].limits: a deny rule"));
    CHECK_THAT(faults_of("  deny: [{domains: [a.b], private: allow}]"),
               Contains("spec.deny[0].private: a deny rule"));
    CHECK_THAT(faults_of("  allow: [{cidrs: [1.1.1.1], private: allow}]"), Contains("the rule has none"));
    CHECK(policy_of("  allow: [{domains: [a.b], private: allow}]").allow[0].learn_private == true);
    CHECK(policy_of("  allow: [{domains: [a.b], private: deny}]").allow[0].learn_private == false);
    CHECK_FALSE(policy_of("  allow: [{domains: [a.b]}]").allow[0].learn_private.has_value());
}

TEST_CASE("rule names are given or made, and unique over allow and deny") {
    const auto p =
        policy_of("  allow: [{domains: [a.b]}, {name: n, domains: [a.b]}]\n  deny: [{domains: [a.b]}]");
    CHECK(p.allow[0].name == "allow[0]");
    CHECK(p.allow[1].name == "n");
    CHECK(p.deny[0].name == "deny[0]");
    CHECK_THAT(
        faults_of("  allow: [{name: n, domains: [a.b]}]\n  deny:\n    - name: n\n      domains: [a.b]"),
        Contains("7:13 spec.deny[0].name: the name \"n\" is taken by spec.allow[0]"));
    for (const char *name : {"\"\"", "\"a b\"", "-a", ".a", "a/b", "\"a[0]\"", "é"}) {
        INFO(name);
        CHECK_THAT(faults_of(std::string("  allow: [{name: ") + name + ", domains: [a.b]}]"),
                   Contains("name"));
    }
    CHECK(faults_of("  allow: [{name: " + std::string(63, 'n') + ", domains: [a.b]}]") == "");
    CHECK_THAT(faults_of("  allow: [{name: " + std::string(64, 'n') + ", domains: [a.b]}]"),
               Contains("at most 63"));
}

TEST_CASE("every faulty entry of a list is reported at its own place") {
    const auto loaded =
        load_text(document("  allow:\n  - ports: [tcp/1, tcp/0, 7, udp/9-8]\n    cidrs:\n    - 1.1.1.1/8\n"
                           "    - 1.1.1.1\n    - x"));
    CHECK(faults(loaded) ==
          "6:20 spec.allow[0].ports[1]: port 0 is out of range; expected 1 to 65535\n"
          "6:27 spec.allow[0].ports[2]: expected text such as \"tcp/443\", found a number\n"
          "6:30 spec.allow[0].ports[3]: the range is reversed; expected 8-9\n"
          "8:7 spec.allow[0].cidrs[0]: the address has bits beyond its prefix length; the network is "
          "1.0.0.0/8, the address alone 1.1.1.1/32\n"
          "10:7 spec.allow[0].cidrs[2]: \"x\" is no address; expected one such as 10.1.0.0/16 or "
          "2001:db8::/32\n");
    CHECK(loaded.policies.empty());
}

TEST_CASE("faults of limits stand at their place") {
    CHECK(faults_of("  limits: {egress: 1MiB/s burst 1499B}") ==
          "5:20 spec.limits.egress: the burst is smaller than one packet (1500B)\n");
    CHECK(faults_of("  limits: {ingress: 0MiB/s, connections: -1/s}") ==
          "5:21 spec.limits.ingress: the amount is zero; expected a whole number above zero\n"
          "5:42 spec.limits.connections: the amount is negative; expected a whole number above zero\n");
    CHECK(faults_of("  limits:\n    packets: 1/365d") ==
          "6:14 spec.limits.packets: so slow that its burst of 64 takes more than a year to come back\n");
    CHECK(faults_of("  limits:\n    quota: 256TiB/d") ==
          "6:12 spec.limits.quota: the quota is too large; expected less than 256TiB\n");
    CHECK_THAT(faults_of("  limits: {quota: 1GiB/366d}"),
               Contains("5:19 spec.limits.quota: the time is longer"));
    CHECK_THAT(faults_of("  limits: {queries: 50qps}"),
               Contains("5:21 spec.limits.queries: a count has no unit"));
}

TEST_CASE("each mistake in a limit is told with its line and column, of the container and of a rule") {
    const std::pair<const char *, const char *> mistakes[] = {
        {"egress: 0B/s", "the amount is zero"},
        {"egress: 1MiB/0s", "the amount is zero"},
        {"egress: 1MiB/s burst 0B", "burst: the amount is zero"},
        {"packets: 0/s", "the amount is zero"},
        {"connections: 10/s burst 0", "burst: the amount is zero"},
        {"quota: 0GiB/24h", "the amount is zero"},
        {"quota: 1GiB/0h", "the amount is zero"},
        {"ingress: -1MiB/s", "the amount is negative"},
        {"ingress: 1MiB/-1s", "the amount is negative"},
        {"packets: 5/s burst -5", "burst: the amount is negative"},
        {"quota: -1GiB/24h", "the amount is negative"},
        {"egress: 18446744073709551616B/s", "the amount is too large"},
        {"egress: 16777216TiB/s", "the amount is too large"},
        {"egress: 1MiB/s burst 16777216TiB", "burst: the amount is too large"},
        {"connections: 99999999999999999999/s", "the amount is too large"},
        {"quota: 16777216TiB/24h", "the amount is too large"},
        {"quota: 256TiB/24h", "the quota is too large"},
        {"egress: 10PiB/s", "unknown unit \"PiB\""},
        {"egress: 10Mib/s", "unknown unit \"Mib\"; did you mean \"MiB\"?"},
        {"egress: 10MiB/week", "unknown unit \"week\""},
        {"packets: 10KiB/s", "a count has no unit"},
        {"quota: 1GiB/2y", "unknown unit \"y\""},
        {"quota: 1GiB", "expected / and a time"},
        {"egress: 1MiB/s burst 1499B", "the burst is smaller than one packet"},
        {"ingress: 1MiB/s burst 1B", "the burst is smaller than one packet"},
        {"quota: 1GiB/366d", "the time is longer than a year"},
        {"quota: 1GiB/8761h", "the time is longer than a year"},
        {"quota: 1GiB/99999999999999999999d", "the amount is too large"},
        {"connections: 1/366d", "the time is longer than a year"},
        {"packets: 1/365d", "so slow that its burst of 64 takes more than a year"},
        {"egress: 1KiB/365d", "so slow that its burst of 147456B takes more than a year"},
    };
    for (const auto &[limit, message] : mistakes) {
        const std::string text = limit, kind = text.substr(0, text.find(':'));
        const auto at = [&](int line, std::size_t indent, const std::string &path) {
            return std::to_string(line) + ":" + std::to_string(indent + kind.size() + 3) + " " + path + "." +
                   kind + ": " + message;
        };
        CHECK_THAT(faults_of("  limits:\n    " + text), Catch::StartsWith(at(6, 4, "spec.limits")));
        CHECK_THAT(faults_of("  allow:\n    - cidrs: [1.1.1.1]\n      limits:\n        " + text),
                   Catch::StartsWith(at(8, 8, "spec.allow[0].limits")));
    }
    CHECK_THAT(faults_of("  dns: {queries: 0/s}"), Contains("5:18 spec.dns.queries: the amount is zero"));
    CHECK_THAT(faults_of("  dns: {queries: 1/366d}"),
               Contains("5:18 spec.dns.queries: the time is longer than a year"));
}

TEST_CASE("a rule limits queries only where it has domains") {
    CHECK(policy_of("  allow: [{domains: [a.b], limits: {queries: 5/s}}]").allow[0].limits.queries->amount ==
          5);
    CHECK_THAT(faults_of("  allow: [{cidrs: [1.1.1.1], limits: {queries: 5/s}}]"),
               Contains("5:48 spec.allow[0].limits.queries: queries is about questions for domains"));
}
