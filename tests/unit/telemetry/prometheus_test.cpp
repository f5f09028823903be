// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/prometheus.h"

#include "bpf/abi.h"

#include <catch2/catch.hpp>
#include <set>
#include <sstream>

using namespace penstock;
using namespace penstock::telemetry;

namespace {

CounterRow row(const std::string &container, std::uint64_t id, std::uint64_t packets) {
    CounterRow row;
    row.container = container;
    row.cgroup_id = id;
    row.policy = "p";
    row.rule = "r";
    row.verdict = abi::PS_DENY;
    row.reason = abi::PS_R_NO_RULE;
    row.packets = packets;
    row.bytes = packets * 100;
    return row;
}

bool has_line(const std::string &page, const std::string &line) {
    return ("\n" + page).find("\n" + line + "\n") != std::string::npos;
}

} // namespace

TEST_CASE("label values are escaped, and what is no UTF-8 is made visible") {
    CHECK(escape_label("plain") == "plain");
    CHECK(escape_label("a\\b\"c\nd") == "a\\\\b\\\"c\\nd");
    CHECK(escape_label("\xff") == "\\\\xff");
    CHECK(escape_label("gr\xc3\xbc\xc3\x9f") == "gr\xc3\xbc\xc3\x9f");
}

TEST_CASE("traffic is a sample for each set of labels, packets and bytes") {
    Snapshot snapshot;
    snapshot.counters = {row("/a\"b", 1, 3)};
    const auto page = prometheus_text(snapshot);
    const std::string labels =
        R"({container="/a\"b",policy="p",rule="r",direction="egress",verdict="deny",reason="no-rule"})";
    CHECK(has_line(page, "penstock_packets_total" + labels + " 3"));
    CHECK(has_line(page, "penstock_bytes_total" + labels + " 300"));
}

TEST_CASE("two tenants of one path are one series, as a page must not hold it twice") {
    Snapshot snapshot;
    snapshot.counters = {row("/a", 1, 3), row("/a", 2, 4)};
    const auto page = prometheus_text(snapshot);
    CHECK(page.find("reason=\"no-rule\"} 7\n") != std::string::npos);
    CHECK(page.find("reason=\"no-rule\"} 3\n") == std::string::npos);
}

TEST_CASE("every family has HELP and TYPE before its samples, and stands once") {
    Snapshot snapshot;
    snapshot.counters = {row("/a", 1, 3)};
    snapshot.maps = {{"names", 1, 2}};
    snapshot.features = {{"birth", true, "", ""}, {"lsm", false, "no", "all"}};
    snapshot.events_lost = 5;
    const auto page = prometheus_text(snapshot);
    std::istringstream lines(page);
    std::set<std::string> seen;
    std::string family;
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        if (line.starts_with("# HELP ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
            CHECK(seen.insert(family).second);
            REQUIRE(std::getline(lines, line));
            CHECK(line.starts_with("# TYPE " + family + " "));
        } else {
            CHECK(line.substr(0, line.find_first_of(" {")) == family);
        }
    }
    CHECK(has_line(page, "penstock_events_lost_total 5"));
    CHECK(has_line(page, "penstock_feature_active{feature=\"lsm\"} 0"));
    CHECK(has_line(page, "penstock_map_capacity{map=\"names\"} 2"));
    CHECK(page.ends_with("\n"));
}

TEST_CASE("a quota is four series; one whose window has not begun turns at no time") {
    Snapshot snapshot;
    const std::chrono::system_clock::time_point turns{std::chrono::milliseconds(1'700'000'000'250)};
    const auto page =
        prometheus_text(snapshot, {{"/a", "", "", 1000, 250, turns, true, abi::PS_MODE_ENFORCE},
                                   {"/a", "p", "r", 77, 0, std::nullopt, false, abi::PS_MODE_AUDIT}});
    CHECK(has_line(page, R"(penstock_quota_is_spent{container="/a",policy="",rule="",mode="enforce"} 1)"));
    CHECK(has_line(page, R"(penstock_quota_is_spent{container="/a",policy="p",rule="r",mode="audit"} 0)"));
    CHECK(has_line(page, R"(penstock_quota_bytes{container="/a",policy="",rule=""} 1000)"));
    CHECK(has_line(page, R"(penstock_quota_spent_bytes{container="/a",policy="",rule=""} 250)"));
    CHECK(has_line(
        page, R"(penstock_quota_turns_timestamp_seconds{container="/a",policy="",rule=""} 1700000000.250)"));
    CHECK(has_line(page, R"(penstock_quota_bytes{container="/a",policy="p",rule="r"} 77)"));
    CHECK(page.find(R"(penstock_quota_turns_timestamp_seconds{container="/a",policy="p")") ==
          std::string::npos);
}

TEST_CASE(
    "the page has a bound of quotas: those that are spent, then the fullest, and how many there are more") {
    std::vector<QuotaRow> rows;
    for (std::uint64_t i = 0; i < most_quotas + 3; ++i)
        rows.push_back({"/c" + std::to_string(i), "", "", 1'000'000, i < 4 ? i : 1000 + i, std::nullopt});
    rows[1].is_spent = true;
    const auto page = prometheus_text({}, rows);
    CHECK(has_line(page, "penstock_quotas_left_out 3"));
    const auto spent_of = [](const std::string &name) {
        return "\npenstock_quota_spent_bytes{container=\"" + name + "\"";
    };
    for (const char *gone : {"/c0", "/c2", "/c3"})
        CHECK(page.find(spent_of(gone)) == std::string::npos);
    CHECK(page.find(spent_of("/c1")) < page.find(spent_of("/c4")));
    CHECK(page.find(spent_of("/c4")) < page.find(spent_of("/c4098")));
    std::size_t count = 0;
    for (auto at = page.find("\npenstock_quota_bytes{"); at != std::string::npos; ++count)
        at = page.find("\npenstock_quota_bytes{", at + 1);
    CHECK(count == most_quotas);
    CHECK(has_line(prometheus_text({}), "penstock_quotas_left_out 0"));
}

TEST_CASE("connections, queries, limit hits and untold events have names of their own, by rule and never by "
          "domain") {
    Snapshot snapshot;
    const auto add = [&](const std::string &domain, std::uint8_t verdict, std::uint8_t reason,
                         std::uint64_t packets) {
        snapshot.counters.push_back(row("/a", 1, packets));
        snapshot.counters.back().domain = domain;
        snapshot.counters.back().verdict = verdict;
        snapshot.counters.back().reason = reason;
    };
    snapshot.ready = true;
    add("x.test", abi::PS_NONE, abi::PS_R_CONNECTION, 1);
    add("y.test", abi::PS_NONE, abi::PS_R_CONNECTION, 2);
    add("", abi::PS_ALLOW, abi::PS_R_DNS_QUERY, 4);
    add("", abi::PS_ALLOW, abi::PS_R_REVERSE_QUERY, 8);
    add("", abi::PS_DENY, abi::PS_R_QUERY_RATE, 16);
    add("", abi::PS_WOULD_DENY, abi::PS_R_QUERY_RATE, 32);
    add("", abi::PS_DENY, abi::PS_R_QUOTA, 64);
    add("", abi::PS_UNTOLD, abi::PS_R_QUOTA, 128);
    add("", abi::PS_UNTOLD, abi::PS_R_NO_RULE, 256);
    add("", abi::PS_DENY, abi::PS_R_NO_RULE, 512);
    const auto page = prometheus_text(snapshot);
    const std::string of_rule = R"({container="/a",policy="p",rule="r")";
    CHECK(has_line(page, "penstock_connections_total" + of_rule + "} 3"));
    CHECK(has_line(page, "penstock_dns_queries_total" + of_rule + "} 12"));
    CHECK(has_line(page, "penstock_limit_hits_total" + of_rule + R"(,limit="query-rate"} 48)"));
    CHECK(has_line(page, "penstock_limit_hits_total" + of_rule + R"(,limit="quota"} 64)"));
    CHECK(has_line(page, R"(penstock_events_untold_total{container="/a"} 384)"));
    CHECK(has_line(page, "penstock_ready 1"));
    CHECK(page.find("x.test") == std::string::npos);
}
