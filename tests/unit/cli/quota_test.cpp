// SPDX-License-Identifier: Apache-2.0
// quota and what ps shows of quotas: what is asked, and what is made of the answer.
#include "tests/unit/cli/api_server.h"
#include "tests/unit/cli/run_cli.h"

#include <catch2/catch.hpp>

using namespace penstock::test;

namespace {

const std::string quotas = R"({"quotas": [
  {"container": "/p/web", "cgroup_id": "0x1", "policy": "", "rule": "", "direction": "both", "window_s": 86400, "quota_bytes": 1073741824,
   "granted_bytes": 1073741824, "spent_bytes": 536870912, "left_bytes": 1610612736, "per_cent": 25, "is_spent": false,
   "turns": "2026-02-01T12:00:00.123Z"},
  {"container": "/p/web", "cgroup_id": "0x1", "policy": "agents", "rule": "llm", "direction": "egress", "window_s": 60, "quota_bytes": 1024,
   "granted_bytes": 0, "spent_bytes": 0, "left_bytes": 1024, "per_cent": 0, "is_spent": false, "turns": null},
  {"container": "/p/web", "cgroup_id": "0x1", "policy": "agents", "rule": "last", "direction": "egress", "window_s": 60, "quota_bytes": 1024,
   "granted_bytes": 0, "spent_bytes": 1000, "left_bytes": 24, "per_cent": 97, "is_spent": true, "turns": null}]})";

struct Exchange {
    Run run;
    std::vector<Asked> asked;
};

Exchange exchange(const Answer &answer, std::vector<std::string> words) {
    ApiServer server([&](const Asked &) { return answer; });
    words.insert(words.end(), {"--api-socket", server.socket_path()});
    Run run = run_cli(std::move(words));
    return {std::move(run), server.asked()};
}

std::string containers(const std::string &spent) {
    return R"({"containers": [{"cgroup": "/p/web", "cgroup_id": "0x1", "slot": 3, "state": "running", "policies": ["agents"],
      "mode": "enforce", "birth": "", "born": "2026-01-31T12:00:00.123Z", "name": "", "spent_quotas": [)" +
           spent + "]}]}";
}

} // namespace

TEST_CASE("quota lists what is spent, of what, and when the window turns") {
    const auto [run, asked] = exchange({200, quotas}, {"quota", "--container", "/p/web"});
    CHECK(run.code == 0);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].method == "GET");
    CHECK(asked[0].target == "/v1/quotas?container=%2Fp%2Fweb");
    CHECK(contains(run.out, "(container)"));
    CHECK(contains(run.out, "512.0 MiB"));
    CHECK(contains(run.out, "2.0 GiB"));
    CHECK(contains(run.out, "2026-02-01 12:00:00Z"));
    CHECK(contains(run.out, "agents/llm"));
    CHECK(contains(run.out, " spent "));
    CHECK_FALSE(contains(run.out, " 97 "));
}

TEST_CASE("quota without a container asks for all") {
    const auto [run, asked] = exchange({200, quotas}, {"quota", "-o", "json"});
    CHECK(run.code == 0);
    CHECK(asked.at(0).target == "/v1/quotas");
    CHECK(contains(run.out, "\"granted_bytes\": 1073741824"));
}

TEST_CASE("reset and add name a container, and a rule if it is one's") {
    const auto [words, target] = GENERATE(table<std::vector<std::string>, std::string>({
        {{"quota", "reset", "--container", "web"}, "/v1/quotas/reset?container=web"},
        {{"quota", "reset", "-c", "web", "--rule", "agents/llm"},
         "/v1/quotas/reset?container=web&rule=agents%2Fllm"},
        {{"quota", "add", "--container", "web", "500MiB"}, "/v1/quotas/add?container=web&bytes=524288000"},
        {{"quota", "add", "-c", "web", "-r", "a/b", "1GB"},
         "/v1/quotas/add?container=web&rule=a%2Fb&bytes=1000000000"},
    }));
    const auto [run, asked] = exchange({200, quotas}, words);
    INFO(run.err);
    CHECK(run.code == 0);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].method == "POST");
    CHECK(asked[0].target == target);
}

TEST_CASE("what is not said, or can't be read, is a matter of usage and asks nobody") {
    const auto words = GENERATE(
        std::vector<std::string>{"quota", "reset"}, std::vector<std::string>{"quota", "add", "-c", "web"},
        std::vector<std::string>{"quota", "add", "500MiB"},
        std::vector<std::string>{"quota", "add", "-c", "web", "500"},
        std::vector<std::string>{"quota", "add", "-c", "web", "0B"},
        std::vector<std::string>{"quota", "add", "-c", "web", "1GiB/24h"},
        std::vector<std::string>{"quota", "reset", "-c", ""}, std::vector<std::string>{"quota", "sink"});
    const auto [run, asked] = exchange({200, quotas}, words);
    INFO(words.back());
    CHECK(run.code == 2);
    CHECK(asked.empty());
    CHECK(!run.err.empty());
}

TEST_CASE("a refused change says why and is a no") {
    const auto [run, asked] = exchange({409, R"({"error": "nothing is spent yet", "diagnostics": []})"},
                                       {"quota", "add", "-c", "web", "1MB"});
    CHECK(run.code == 1);
    CHECK(contains(run.err, "nothing is spent yet"));
}

TEST_CASE("ps shows a spent quota and when it turns, and no such column where none is") {
    const auto none = exchange({200, containers("")}, {"ps"});
    CHECK(!contains(none.run.out, "QUOTA"));
    const std::string
        own = R"({"policy": "", "rule": "", "direction": "both", "turns": "2026-02-02T00:00:00.000Z"})",
        llm =
            R"({"policy": "agents", "rule": "llm", "direction": "both", "turns": "2026-02-01T00:00:00.000Z"})";
    const auto one = exchange({200, containers(own)}, {"ps"});
    CHECK(contains(one.run.out, "QUOTA"));
    CHECK(contains(one.run.out, "spent, turns 2026-02-02 00:00:00Z"));
    const auto two = exchange({200, containers(own + "," + llm)}, {"ps"});
    CHECK(contains(two.run.out, "spent (agents/llm), turns 2026-02-01 00:00:00Z, and 1 more"));
}
