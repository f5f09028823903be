// SPDX-License-Identifier: Apache-2.0
// What packaging/ asks Prometheus for is what the page tells: the dashboard and the alerts parse, and name no metric and
// no label that is not there.
#include "userspace/telemetry/prometheus.h"

#include "bpf/abi.h"

#include <algorithm>
#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <yaml-cpp/yaml.h>

using namespace penstock;
using namespace penstock::telemetry;
namespace json = boost::json;

namespace {

std::string text_of(const std::string &path) {
    const std::ifstream file(std::string(PENSTOCK_SOURCE) + "/" + path);
    std::ostringstream text;
    text << file.rdbuf();
    REQUIRE_FALSE(text.str().empty());
    return text.str();
}

CounterRow row(std::uint8_t verdict, std::uint8_t reason) {
    CounterRow row;
    row.container = "/a";
    row.policy = "p";
    row.rule = "r";
    row.verdict = verdict;
    row.reason = reason;
    row.packets = row.bytes = 1;
    return row;
}

// Every family of the page has a sample.
std::string page() {
    Snapshot snapshot;
    snapshot.counters = {row(abi::PS_NONE, abi::PS_R_CONNECTION), row(abi::PS_ALLOW, abi::PS_R_DNS_QUERY),
                         row(abi::PS_DENY, abi::PS_R_QUOTA), row(abi::PS_UNTOLD, abi::PS_R_QUOTA)};
    snapshot.maps = {{"names", 1, 2}};
    snapshot.features = {{"birth", true, "", ""}};
    return prometheus_text(snapshot, {{"/a", "p", "r", 2, 1, std::chrono::system_clock::now()}});
}

std::vector<std::string> all_of(const std::string &text, const std::string &pattern) {
    const std::regex expression(pattern);
    std::vector<std::string> found;
    for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at)
        found.push_back(at->size() > 1 ? at->str(1) : at->str());
    return found;
}

// Metric to labels; those that Prometheus adds are everybody's.
std::map<std::string, std::set<std::string>> metrics() {
    std::map<std::string, std::set<std::string>> all{{"up", {"job", "instance"}}};
    std::istringstream lines(page());
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("#"))
            continue;
        auto &labels = all[line.substr(0, line.find_first_of(" {"))];
        labels.insert({"job", "instance"});
        for (const auto &label : all_of(line, R"re(([a-z_]+)=")re"))
            labels.insert(label);
    }
    return all;
}

// Each metric with its matchers: name{label="..."}.
void check_expression(const std::string &expression) {
    INFO(expression);
    static const auto known = metrics();
    std::set<std::string> labels; // of all that the expression names
    const std::regex selector(R"re((penstock_[a-z_]+|\bup\b)(\{[^}]*\})?)re");
    std::size_t count = 0;
    for (std::sregex_iterator at(expression.begin(), expression.end(), selector), end; at != end;
         ++at, ++count) {
        INFO(at->str());
        const auto found = known.find(at->str(1));
        REQUIRE(found != known.end());
        labels.insert(found->second.begin(), found->second.end());
        for (const auto &label : all_of(at->str(2), R"re(([a-z_]+)=~?")re"))
            CHECK(found->second.contains(label));
        for (const auto &label : all_of(at->str(2), R"re(([a-z_]+)!=")re"))
            CHECK(found->second.contains(label));
    }
    CHECK(count > 0);
    for (const auto &list : all_of(expression, R"re((?:by|on) \(([a-z_, ]+)\))re"))
        for (const auto &label : all_of(list, "[a-z_]+"))
            CHECK(labels.contains(label));
    CHECK(std::count(expression.begin(), expression.end(), '(') ==
          std::count(expression.begin(), expression.end(), ')'));
}

} // namespace

TEST_CASE("the dashboard is JSON and asks for what the page tells, in panels that do not overlap") {
    const json::value dashboard = json::parse(text_of("packaging/grafana/penstock.json"));
    CHECK(dashboard.at("schemaVersion").as_int64() >= 36); // Grafana 9
    CHECK(dashboard.at("templating").at("list").at(0).at("type").as_string() == "datasource");
    std::set<std::pair<std::int64_t, std::int64_t>> taken;
    std::set<std::int64_t> ids;
    for (const json::value &panel : dashboard.at("panels").as_array()) {
        INFO(panel.at("title").as_string());
        CHECK(ids.insert(panel.at("id").as_int64()).second);
        CHECK(panel.at("datasource").at("uid").as_string() == "${datasource}");
        const json::value &place = panel.at("gridPos");
        CHECK(place.at("x").as_int64() + place.at("w").as_int64() <= 24);
        for (std::int64_t x = 0; x < place.at("w").as_int64(); ++x)
            for (std::int64_t y = 0; y < place.at("h").as_int64(); ++y)
                CHECK(taken.emplace(place.at("x").as_int64() + x, place.at("y").as_int64() + y).second);
        for (const json::value &target : panel.at("targets").as_array())
            check_expression(std::string(target.at("expr").as_string()));
    }
    CHECK(ids.size() >= 15);
    for (const json::value &variable : dashboard.at("templating").at("list").as_array())
        if (variable.at("type").as_string() == "query")
            check_expression(std::string(variable.at("definition").as_string()));
}

TEST_CASE("the alerts are YAML and ask for what the page tells; each says what it means") {
    const YAML::Node rules = YAML::Load(text_of("packaging/prometheus/penstock.rules.yml"));
    std::set<std::string> names;
    std::map<std::string, std::string> expressions;
    for (const auto &group : rules["groups"]) {
        CHECK_FALSE(group["name"].as<std::string>().empty());
        for (const auto &rule : group["rules"]) {
            INFO(rule["alert"].as<std::string>());
            CHECK(names.insert(rule["alert"].as<std::string>()).second);
            CHECK(rule["labels"]["severity"]);
            CHECK_FALSE(rule["annotations"]["summary"].as<std::string>().empty());
            CHECK_FALSE(rule["annotations"]["description"].as<std::string>().empty());
            if (rule["for"])
                CHECK(std::regex_match(rule["for"].as<std::string>(), std::regex("[0-9]+[smh]")));
            check_expression(expressions[rule["alert"].as<std::string>()] = rule["expr"].as<std::string>());
        }
    }
    CHECK(names.size() >= 10);
    // Octets and hits can't tell it: the last packet need not fit, and `increase` of a new series is 0.
    CHECK(expressions["PenstockQuotaSpent"] == R"(penstock_quota_is_spent{mode="enforce"} == 1)");
    // `and` with an hour ago would leave out who has none.
    CHECK(expressions["PenstockDenialsSurge"].find("\nunless\n") != std::string::npos);
}
