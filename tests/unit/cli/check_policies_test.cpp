// SPDX-License-Identifier: Apache-2.0
// policy check, with the real policy library and no daemon.
#include "tests/unit/cli/api_server.h"
#include "tests/unit/cli/run_cli.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace penstock::test;
namespace json = boost::json;

namespace {

const std::string good = R"(apiVersion: penstock/v1
kind: EgressPolicy
metadata: {name: web}
spec:
  select:
    - {cgroup: /penstock.slice/web}
  allow:
    - {name: api, domains: [api.example.com], ports: [tcp/443]}
)";

const std::string limited = good + "  limits: {egress: 10MiB/s}\n";

} // namespace

TEST_CASE("policy check passes a good file without a daemon") {
    const TemporaryDirectory directory;
    const auto run = run_cli({"policy", "check", directory.file("web.yaml", good)});
    INFO(run.err);
    CHECK(run.code == 0);
    CHECK(run.out == "web: 1 allow, 0 deny\nok\n");
    CHECK(run.err.empty());
}

TEST_CASE("policy check names the place of every fault of every file, exit 1") {
    const TemporaryDirectory directory;
    std::string bad = good;
    bad.replace(bad.find("tcp/443"), 7, "tpc/443");
    const std::string first = directory.file("a.yaml", bad), second = directory.file("b.yaml", "kind: [\n");
    const auto run = run_cli({"policy", "check", first, second});
    INFO(run.err);
    CHECK(run.code == 1);
    CHECK(contains(run.err, first + ":8:"));
    CHECK(contains(run.err, second + ":"));
    CHECK_FALSE(contains(run.out, "ok"));
}

TEST_CASE("limits pass without a word, and a wrong one is refused at its place") {
    const TemporaryDirectory directory;
    const auto run = run_cli({"policy", "check", directory.file("web.yaml", limited)});
    CHECK(run.code == 0);
    CHECK(run.err.empty());
    const std::string wrong = directory.file("wrong.yaml", good + "  limits: {egress: 0MiB/s}\n");
    const auto refused = run_cli({"policy", "check", wrong});
    CHECK(refused.code == 1);
    CHECK(contains(refused.err, wrong + ":9:20: error: spec.limits.egress: the amount is zero"));
}

TEST_CASE("a burst below the least is a warning at its place, and the file passes") {
    const TemporaryDirectory directory;
    const std::string file = directory.file("web.yaml", good + "  limits: {egress: 1MB/s burst 20KB}\n");
    const auto run = run_cli({"policy", "check", file});
    CHECK(run.code == 0);
    CHECK(run.out == "web: 1 allow, 0 deny\nok\n");
    CHECK(run.err ==
          file + ":9:20: warning: spec.limits.egress: burst 20KB counts as 144KiB, the least: two of TCP's "
                 "buffers\n");
}

TEST_CASE("policy check -o json is the answer of the API") {
    const TemporaryDirectory directory;
    const auto run = run_cli({"policy", "check", "-o", "json", directory.file("web.yaml", limited)});
    const json::value report = json::parse(run.out);
    CHECK(report.at("ok").as_bool());
    CHECK(report.at("policies") == json::value(json::array{"web"}));
    CHECK(report.at("diagnostics").is_array());
}

TEST_CASE("a directory stands for the policy files in it and what can't be read is exit 1") {
    const TemporaryDirectory directory;
    CHECK(run_cli({"policy", "check", directory.path()}).code == 1);
    directory.file("web.yaml", good);
    directory.file("README.txt", "not a policy");
    directory.file(".hidden.yaml", "not: read");
    CHECK(run_cli({"policy", "check", directory.path()}).code == 0);
    const auto missing = run_cli({"policy", "check", directory.path() + "/absent.yaml"});
    CHECK(missing.code == 1);
    CHECK(contains(missing.err, "No such file or directory"));
    CHECK(missing.out == "1 file not read\n");
    CHECK(run_cli({"policy", "check", "/dev/zero"}).out == "1 file not read\n");
}
