// SPDX-License-Identifier: Apache-2.0
// Two readings of the daemon's answers to rates: what counts as what.
#include "userspace/cli/top_rates.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <utility>

using namespace penstock::cli;
namespace json = boost::json;

namespace {

json::object counter(const std::string &id, const std::string &direction, const std::string &verdict,
                     const std::string &reason, std::uint64_t packets, std::uint64_t bytes) {
    return {{"container", "/p/web"}, {"cgroup_id", id},    {"direction", direction}, {"verdict", verdict},
            {"reason", reason},      {"packets", packets}, {"bytes", bytes}};
}

json::object containers(json::array list) {
    return {{"containers", std::move(list)}};
}
json::object container(const std::string &id, const std::string &name) {
    return {{"cgroup", name},
            {"cgroup_id", id},
            {"state", "running"},
            {"idle_s", 40},
            {"last_activity", "2026-"}};
}

Reading reading(json::array counters, json::array list, json::value quotas = nullptr) {
    return reading_of(json::object{{"counters", std::move(counters)}}, containers(std::move(list)), quotas);
}

// What one row of counters is shown as: its packets are 10 and its bytes 1000 in 2 s.
Row row_of(const std::string &direction, const std::string &verdict, const std::string &reason) {
    const auto before = reading({}, {container("0x1", "/p/web")});
    const auto now =
        reading({counter("0x1", direction, verdict, reason, 10, 1000)}, {container("0x1", "/p/web")});
    const auto rows = rows_between(before, now, 2);
    REQUIRE(rows.size() == 1);
    return rows[0];
}

using Rates = std::vector<double>;
Rates rates_of(const Row &row) {
    return {row.per_s, row.per_s + rates};
}

} // namespace

TEST_CASE("each kind of counter is shown as what it is") {
    struct Case {
        const char *direction, *verdict, *reason;
        Rates rates; // egress ingress packets connections queries denials limits
    };
    const auto each = GENERATE(values<Case>({
        {"egress", "allow", "cidr", {500, 0, 5, 0, 0, 0, 0}},
        {"ingress", "allow", "inbound", {0, 500, 5, 0, 0, 0, 0}},
        {"egress", "allow", "loopback", {0, 0, 0, 0, 0, 0, 0}},
        {"egress", "allow", "dns-query", {500, 0, 5, 0, 5, 0, 0}},
        {"egress", "allow", "reverse-query", {500, 0, 5, 0, 5, 0, 0}},
        {"egress", "none", "connection", {0, 0, 0, 5, 0, 0, 0}},
        {"ingress", "none", "learned-new", {0, 0, 0, 0, 0, 0, 0}},
        {"egress", "deny", "no-rule", {0, 0, 0, 0, 0, 5, 0}},
        {"egress", "would-deny", "no-rule", {500, 0, 5, 0, 0, 5, 0}},
        {"egress", "deny", "egress-rate", {0, 0, 0, 0, 0, 5, 5}},
        {"ingress", "deny", "ingress-rate", {0, 0, 0, 0, 0, 5, 5}},
        {"egress", "deny", "packet-rate", {0, 0, 0, 0, 0, 5, 5}},
        {"egress", "deny", "connection-rate", {0, 0, 0, 0, 0, 5, 5}},
        {"egress", "deny", "query-rate", {0, 0, 0, 0, 0, 5, 5}},
        {"egress", "would-deny", "quota", {500, 0, 5, 0, 0, 5, 5}},
        {"egress", "untold", "quota", {0, 0, 0, 0, 0, 0, 0}},
    }));
    INFO(each.direction << " " << each.verdict << " " << each.reason);
    const Row row = row_of(each.direction, each.verdict, each.reason);
    CHECK(rates_of(row) == each.rates);
    CHECK(row.idle_s == 0U); // any of them is activity
}

TEST_CASE("who did nothing is as idle as the daemon says") {
    const auto same =
        reading({counter("0x1", "egress", "allow", "cidr", 10, 1000)}, {container("0x1", "/p/web")});
    const auto rows = rows_between(same, same, 2);
    CHECK(rates_of(rows.at(0)) == Rates(rates, 0));
    CHECK(rows[0].idle_s == 40U);
    CHECK_FALSE(rows[0].is_idle_longer);
    json::object unseen = container("0x1", "/p/web");
    unseen["last_activity"] = nullptr;
    CHECK(rows_between({}, reading({}, {unseen}), 2).at(0).is_idle_longer);
    unseen["idle_s"] = nullptr;
    CHECK_FALSE(rows_between({}, reading({}, {unseen}), 2).at(0).idle_s);
}

TEST_CASE("a newborn counts from nothing, a counter that fell is no rate, who is gone has no row") {
    const auto row = [](const std::string &id, std::uint64_t bytes) {
        return counter(id, "egress", "allow", "cidr", 1, bytes);
    };
    const auto before =
        reading({row("0x1", 5000), row("0x3", 1)}, {container("0x1", "/b"), container("0x3", "/gone")});
    const auto now = reading({row("0x1", 1000), row("0x2", 3000), row("0x0", 99999)},
                             {container("0x1", "/b"), container("0x2", "/a")});
    const auto rows = rows_between(before, now, 1);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].name == "/a");
    CHECK(rows[0].rate(Field::egress) == 3000);
    CHECK(rows[1].rate(Field::egress) == 0);
    CHECK(rows_between(before, now, 0).at(0).rate(Field::egress) == 0);
}

TEST_CASE("quotas are joined by the container's id, what is spent and then the fullest first") {
    const json::object quotas{{"quotas",
                               {{{"cgroup_id", "0x2"},
                                 {"policy", "p"},
                                 {"rule", "r"},
                                 {"spent_bytes", 50},
                                 {"quota_bytes", 100},
                                 {"granted_bytes", 0},
                                 {"per_cent", 50},
                                 {"is_spent", false},
                                 {"turns", "t"}},
                                {{"cgroup_id", "0x2"},
                                 {"policy", "p"},
                                 {"rule", ""},
                                 {"spent_bytes", 90},
                                 {"quota_bytes", 50},
                                 {"granted_bytes", 50},
                                 {"per_cent", 90},
                                 {"is_spent", false},
                                 {"turns", nullptr}},
                                {{"cgroup_id", "0x2"},
                                 {"policy", "p"},
                                 {"rule", "denied"},
                                 {"spent_bytes", 700},
                                 {"quota_bytes", 1000},
                                 {"granted_bytes", 0},
                                 {"per_cent", 70},
                                 {"is_spent", true}, // the last packet did not fit
                                 {"turns", nullptr}},
                                {{"cgroup_id", "0x9"}, {"spent_bytes", 1}, {"quota_bytes", 1}}}}};
    const auto rows =
        rows_between({}, reading({}, {container("0x1", "/p/web"), container("0x2", "/p/web")}, quotas), 1);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].quotas.empty());
    REQUIRE(rows[1].quotas.size() == 3);
    CHECK(rows[1].quotas[0].rule == "denied"); // what denies before what is only fuller
    CHECK(rows[1].quotas[1].per_cent == 90);
    CHECK(rows[1].quotas[2].rule == "r");
    CHECK(rates_json(rows, 1, "").at("containers").at(1).at("quotas").at(0).at("is_spent").as_bool());
    CHECK(rates_json(rows, 1, "").at("containers").at(1).at("quotas").at(0).at("turns").is_null());
}

TEST_CASE("a script gets every number by its name") {
    auto rows = rows_between(
        {}, reading({counter("0x1", "egress", "allow", "cidr", 1, 1000)}, {container("0x1", "/a")}), 3);
    const auto answer = rates_json(rows, 3, "now");
    CHECK(answer.at("time") == "now");
    CHECK(answer.at("interval_s") == 3.0);
    const auto &first = answer.at("containers").at(0);
    CHECK(first.at("container") == "/a");
    CHECK(first.at("cgroup_id") == "0x1");
    CHECK(first.at("egress_bytes_per_s") == 333.333);
    CHECK(first.at("packets_per_s") == 0.333);
    for (const char *name :
         {"ingress_bytes_per_s", "connections_per_s", "queries_per_s", "denials_per_s", "limit_hits_per_s"})
        CHECK(first.at(name) == 0.0);
    CHECK(first.at("idle_s") == 0);
    CHECK(first.at("quotas").as_array().empty());
}
