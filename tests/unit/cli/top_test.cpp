// SPDX-License-Identifier: Apache-2.0
// `penstock top` against a daemon of the test's own: what it asks, what it prints without a terminal.
#include "tests/unit/cli/api_server.h"
#include "tests/unit/cli/run_cli.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <yaml-cpp/yaml.h>

using namespace penstock::test;
namespace json = boost::json;

namespace {

// A container that sends 1000 octets between any two readings.
Answer busy(const Asked &asked, std::atomic<int> &readings, bool with_quotas) {
    if (asked.target == "/v1/counters") {
        const int sent = ++readings * 1000;
        return {
            .body =
                R"({"time": "2026-01-31T12:00:00.000Z", "counters": [{"container": "/p/web", "cgroup_id": "0x1",
          "direction": "egress", "verdict": "allow", "reason": "cidr", "packets": 1, "bytes": )" +
                std::to_string(sent) + "}]}"};
    }
    if (asked.target == "/v1/containers")
        return {
            .body =
                R"({"containers": [{"cgroup": "/p/web", "cgroup_id": "0x1", "state": "running", "idle_s": 7,
          "last_activity": null}]})"};
    if (with_quotas)
        return {.body =
                    R"({"quotas": [{"container": "/p/web", "cgroup_id": "0x1", "policy": "p", "rule": "r",
          "spent_bytes": 3, "quota_bytes": 4, "granted_bytes": 0, "per_cent": 75, "is_spent": false, "turns": "2026-02-01T00:00:00.000Z"}]})"};
    return {.status = 404, .body = R"({"error": "no such path: /v1/quotas", "diagnostics": []})"};
}

Run top(std::vector<std::string> words, bool with_quotas) {
    std::atomic<int> readings{0};
    ApiServer server([&](const Asked &asked) { return busy(asked, readings, with_quotas); });
    words.insert(words.begin(), {"top", "--interval", "200ms"});
    words.insert(words.end(), {"--api-socket", server.socket_path()});
    return run_cli(std::move(words));
}

} // namespace

TEST_CASE(
    "top tells a script the rates of one interval, and says nothing of quotas that this daemon has not") {
    const bool with_quotas = GENERATE(true, false);
    const auto run = top({"--once", "-o", "json"}, with_quotas);
    CHECK(run.code == 0);
    CHECK(run.err.empty());
    const json::value answer = json::parse(run.out);
    const double seconds = answer.at("interval_s").as_double();
    CHECK(seconds >= 0.2);
    const json::value &web = answer.at("containers").at(0);
    CHECK(web.at("egress_bytes_per_s").as_double() == Approx(1000 / seconds).epsilon(0.01));
    CHECK(web.at("idle_s").as_int64() == 7); // no packet more
    CHECK(web.at("idle_longer").as_bool());
    CHECK(web.at("quotas").as_array().size() == (with_quotas ? 1 : 0));
    if (with_quotas)
        CHECK(web.at("quotas").at(0).at("per_cent").as_int64() == 75);
}

TEST_CASE("top in YAML has numbers that YAML reads as such") {
    const auto run = top({"-o", "yaml"}, true);
    const auto web = YAML::Load(run.out)["containers"][0];
    CHECK(web["egress_bytes_per_s"].as<double>() > 100);
    CHECK(run.out.find("E+") == std::string::npos);
    CHECK(run.out.find("E3") == std::string::npos);
}

TEST_CASE("top without a terminal prints a table once") {
    const auto run = top({}, true);
    CHECK(run.code == 0);
    CHECK(contains(run.out, "CONTAINER  EGRESS"));
    CHECK(contains(run.out, "###..  75%"));
    CHECK_FALSE(contains(run.out, "\x1b"));
}

TEST_CASE("an error of the daemon is said once, with its exit code") {
    const ApiServer server(
        [](const Asked &) { return Answer{.status = 503, .body = R"({"error": "too many clients"})"}; });
    const auto run = run_cli({"top", "--api-socket", server.socket_path()});
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    CHECK(run.err == "penstock: too many clients\n");
}
