// SPDX-License-Identifier: Apache-2.0
// What the commands ask, and what they make of an answer: text, format, exit code. The answers are the test's own.
#include "tests/unit/cli/api_server.h"
#include "tests/unit/cli/run_cli.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <sstream>

#include <algorithm>

using namespace penstock::test;
namespace json = boost::json;

namespace {

// One run against a server that always answers the same.
struct Exchange {
    Run run;
    std::vector<Asked> asked;
};

Exchange exchange(const Answer &answer, std::vector<std::string> words,
                  const penstock::cli::Terminal &terminal = {}) {
    ApiServer server([&](const Asked &) { return answer; });
    words.insert(words.end(), {"--api-socket", server.socket_path()});
    Run run = run_cli(std::move(words), terminal);
    return {std::move(run), server.asked()};
}

const std::string refusal = R"({"error": "policy refused: 2 errors", "diagnostics": [
  {"severity": "error", "file": "a.yaml", "line": 9, "column": 14, "path": "spec.allow[0].ports[0]", "message": "expected tcp/N"},
  {"severity": "error", "file": "b\u001b.yaml", "line": 0, "column": 0, "path": "", "message": "no document"}]})";

std::string explanation(const std::string &verdict) {
    return R"({"container": "/p/web", "cgroup_id": "0x1", "policies": ["agents"], "mode": "enforce", "generation": 3,
      "domain": "api.x.com", "ip": "", "port": "tcp/443", "verdict": ")" +
           verdict + R"(",
      "query": {"verdict": "allow", "reason": "dns-query", "policy": "agents", "rule": "llm", "match": "*.x.com",
                "path": ["resolver 10.0.0.2: allowed", "name api.x.com: rule llm allows"]},
      "flows": [{"remote": "192.0.2.7", "learned": true, "verdict": ")" +
           verdict + R"(", "reason": "learned", "policy": "agents",
                 "rule": "llm", "match": "api.x.com", "path": ["no CIDR", "learned"]}]})";
}

const std::string hostile_event =
    R"({"time": "2026-01-31T12:00:00.123Z", "kind": "denied", "container": "/p/web", "cgroup_id": "0x1f", "policy": "agents", "rule": "",
     "hook": "egress", "direction": "egress", "verdict": "deny", "reason": "name-not-allowed", "protocol": "udp", "local": "10.1.0.2",
     "local_port": 4, "remote": "fd00::2", "remote_port": 53, "name": "\u001b[2Jevil\u009b.example\n", "query_type": "A", "length": 71})";

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text + "\n";
}

} // namespace

TEST_CASE("explain asks with encoded values, prints the gates, and its exit code is the verdict") {
    const auto [verdict, code] = GENERATE(
        table<std::string, int>({{"allow", 0}, {"would-deny", 0}, {"deny", 1}, {"", 1}, {"new", 1}}));
    const auto [run, asked] = exchange({.body = explanation(verdict)}, {"explain", "-c", "/p/web", "--domain",
                                                                        "api.x.com", "--port", "tcp/443"});
    CHECK(run.code == code);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].method == "GET");
    CHECK(asked[0].target == "/v1/explain?container=%2Fp%2Fweb&domain=api.x.com&port=tcp%2F443");
    CHECK(contains(run.out, "query for api.x.com: allow (dns-query), rule agents/llm, by *.x.com\n"
                            "  1. resolver 10.0.0.2: allowed\n  2. name api.x.com: rule llm allows\n"));
    CHECK(contains(run.out, "tcp/443 to 192.0.2.7: " + verdict + " (learned)"));
}

TEST_CASE("explain names no match where no rule matched") {
    const auto [run, asked] = exchange(
        {.body = R"({"container": "/p/web", "policies": ["agents"], "mode": "enforce", "domain": "evil.test",
        "verdict": "deny", "query": {"verdict": "deny", "reason": "name-not-allowed", "policy": "", "rule": "",
        "match": "evil.test", "path": []}, "flows": []})"},
        {"explain", "-c", "web", "--domain", "evil.test"});
    CHECK(run.code == 1);
    CHECK(contains(run.out, "query for evil.test: deny (name-not-allowed)\n"));
}

TEST_CASE("a refused reload is exit 1, with every diagnostic on stderr") {
    const auto [run, asked] = exchange({.status = 422, .body = refusal}, {"reload"});
    CHECK(run.code == 1);
    CHECK(run.out.empty());
    CHECK(run.err == "a.yaml:9:14: error: spec.allow[0].ports[0]: expected tcp/N\n"
                     "b\\x1b.yaml: error: no document\n"
                     "penstock: policy refused: 2 errors\n");
    CHECK(asked.at(0).method == "POST");
    CHECK(asked.at(0).target == "/v1/reload");
}

TEST_CASE("apply sends the file with its type and name and what is in force is said") {
    const TemporaryDirectory directory;
    const std::string file = directory.file("p.json", "{}");
    const auto [run, asked] =
        exchange({.body = R"({"policies": ["agents"], "generation": 18, "diagnostics": []})"},
                 {"policy", "apply", file});
    CHECK(run.code == 0);
    CHECK(run.out == "agents: in force, generation 18\n");
    CHECK(asked.at(0).method == "POST");
    CHECK(asked.at(0).body == "{}");
    CHECK(asked.at(0).content_type == "application/json");
    CHECK(contains(asked.at(0).target, "/v1/policies?file=%2F"));
    const auto missing = exchange({}, {"policy", "apply", directory.path() + "/absent.yaml"});
    CHECK(missing.run.code == 1);
    CHECK(missing.asked.empty());
}

TEST_CASE("diff prints one change a line") {
    const TemporaryDirectory directory;
    const auto [run, asked] = exchange(
        {.body =
             R"({"policies": [{"name": "agents", "change": "changed", "containers": ["/p/web"], "changes": [
        {"op": "remove", "path": "spec.allow[llm].ports", "value": "tcp/80"},
        {"op": "add", "path": "spec.allow[llm].domains", "value": "x.com"}]}], "would_deny": [{"container": "/p/web",
        "domain": "y.com", "reason": "no-rule", "policy": "agents", "rule": "llm", "packets": 7}], "diagnostics": []})"},
        {"policy", "diff", directory.file("p.yaml", "a: b\n")});
    CHECK(run.code == 0);
    CHECK(asked.at(0).content_type == "application/yaml");
    CHECK(
        run.out ==
        "agents: changed (1 container)\n  - spec.allow[llm].ports  tcp/80\n  + "
        "spec.allow[llm].domains  x.com\nwould deny /p/web y.com (no-rule): 7 packets passed so far by rule "
        "agents/llm\n");
}

TEST_CASE("error statuses of the daemon have their exit codes") {
    const auto [status, code] = GENERATE(table<unsigned, int>(
        {{400, 2}, {403, 1}, {404, 1}, {409, 1}, {413, 1}, {422, 1}, {500, 1}, {503, 2}}));
    const auto [run, asked] = exchange(
        {.status = status, .body = R"({"error": "because", "diagnostics": []})"}, {"counters", "-c", "web"});
    CHECK(run.code == code);
    CHECK(run.out.empty());
    CHECK(run.err == "penstock: because\n");
    CHECK(asked.at(0).target == "/v1/counters?container=web");
}

TEST_CASE("an answer that is no JSON object, or an error without a text, is said plainly") {
    const auto [body, status] = GENERATE(
        table<std::string, unsigned>({{"", 200}, {"<html>", 200}, {"[1]", 200}, {"", 500}, {"[]", 500}}));
    const auto [run, asked] = exchange({.status = status, .body = body}, {"status"});
    CHECK(run.code == (status == 200 ? 2 : 1));
    CHECK(run.out.empty());
    CHECK(contains(run.err, status == 200 ? "is not a JSON object" : "HTTP status 500"));
}

TEST_CASE("a reading command gives the daemon's answer whole in JSON and in YAML") {
    const std::string body =
        R"({"counters": [{"container": "", "policy": "p", "rule": "r", "direction": "egress", "verdict": "allow",
        "reason": "cidr", "packets": 12345, "bytes": 1048576}], "time": "2026-01-31T12:00:00.000Z"})";
    const auto as_json = exchange({.body = body}, {"counters", "-o", "json"});
    CHECK(json::parse(as_json.run.out) == json::parse(body));
    const auto as_yaml = exchange({.body = body}, {"counters", "--output=yaml"});
    CHECK(contains(as_yaml.run.out, "packets: 12345"));
    const auto as_table = exchange({.body = body}, {"counters"});
    CHECK(as_table.run.out == "CONTAINER  RULE  DOMAIN  DIR  VERDICT  REASON  PACKETS    BYTES\n"
                              "(ended)    p/r   -       out  allow    cidr      12.3k  1.0 MiB\n");
}

TEST_CASE("an event's hostile name can't move the terminal in any format") {
    const std::string format = GENERATE(as<std::string>(), "table", "json", "yaml");
    const auto [run, asked] =
        exchange({.chunks = {one_line(hostile_event)}}, {"events", "-f", "--denied", "-o", format});
    CHECK(run.code == 0);
    CHECK(asked.at(0).target == "/v1/events?follow=1&denied=1");
    CHECK(run.out.find('\x1b') == std::string::npos);
    CHECK(run.out.find("\xc2\x9b") == std::string::npos);
    if (format == "table")
        CHECK(run.out == "12:00:00.123Z  deny  name-not-allowed  /p/web  udp [fd00::2]:53 A "
                         "\\x1b[2Jevil\\x9b.example\\x0a  (agents)\n");
    if (format == "json")
        CHECK(json::parse(run.out) == json::parse(hostile_event));
}

TEST_CASE("events that are missing are said, and a line that is no event does not end the stream") {
    const auto [run, asked] =
        exchange({.chunks = {"garbage\n",
                             R"({"time": "2026-01-31T12:00:00.000Z", "kind": "lost", "length": 7})", "\n"}},
                 {"events"});
    CHECK(run.code == 0);
    CHECK(contains(run.out, "7 events are missing here"));
    CHECK(contains(run.err, "not an event: garbage"));
}

TEST_CASE("a busy ps fits an 80 column terminal, and is whole elsewhere") {
    const std::string path = "/penstock.slice/" + std::string(64, 'a') + ".scope";
    const std::string body =
        R"({"containers": [{"cgroup": ")" + path + R"(", "cgroup_id": "0x1", "slot": 2, "state": "running",
        "policies": ["coding-agents", "everyone"], "mode": "enforce", "birth": "", "name": "a-container", "born": "2026-01-31T12:00:00.000Z"},
        {"cgroup": "/b", "state": "dying", "policies": [], "mode": "open", "birth": "allow", "name": "", "born": ""}]})";
    CHECK(contains(exchange({.body = body}, {"ps"}).run.out, path));
    CHECK(contains(exchange({.body = body}, {"ps"}).run.out, "- (birth: allow)"));
    std::istringstream lines(exchange({.body = body}, {"ps"}, {.columns = 80}).run.out);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        std::size_t columns = 0;
        for (const char octet : line)
            columns += (static_cast<unsigned char>(octet) & 0xC0U) != 0x80U;
        CHECK(columns <= 80);
    }
    CHECK(count == 3);
}

TEST_CASE("status shows a refused reload, losses and warnings") {
    const auto [run, asked] = exchange(
        {.body =
             R"({"version": "0.1.0", "abi": 1, "pid": 8, "uptime_s": 3700, "state": "ready", "gate_root": "/g",
        "bpffs": "/b", "generation": 17, "policies": 2, "images": 1, "containers": 3, "dying": 1,
        "last_reload": {"time": "2026-01-31T11:58:03.120Z", "ok": false, "diagnostics": [
           {"severity": "error", "file": "a.yaml", "line": 1, "column": 2, "path": "kind", "message": "expected EgressPolicy"}]},
        "warnings": ["quotas are not enforced"], "kernel": {"events_lost": 5, "counters_lost": 0},
        "maps": [{"map": "names", "used": 95, "capacity": 100}]})"},
        {"status"});
    CHECK(run.code == 0);
    CHECK(contains(run.out, "2026-01-31 11:58:03Z  REFUSED"));
    CHECK(contains(run.out, "kernel lost  events_lost 5\n"));
    CHECK(contains(run.out, "up 1h 1m"));
    CHECK(run.err == "warning: quotas are not enforced\na.yaml:1:2: error: kind: expected EgressPolicy\n");
}

TEST_CASE("features says what is lost where the kernel can't") {
    const auto [run, asked] = exchange({.body = R"({"kernel": "6.1.0", "features": [
        {"name": "birth", "active": true, "detail": "", "loses": ""},
        {"name": "socket-families", "active": false, "detail": "no bpf LSM", "loses": "packet sockets"}]})"},
                                       {"features"});
    CHECK(run.code == 0);
    CHECK(run.out == "kernel 6.1.0\n\nbirth             yes\nsocket-families   NO\n    why: no bpf LSM\n"
                     "    lost: packet sockets\n");
}

TEST_CASE("features keeps to 80 columns and loses no word") {
    std::string sentence = "the";
    for (int i = 0; i < 60; i++)
        sentence += " verifier";
    const auto [run, asked] = exchange({.body = R"({"kernel": "6.1.0", "features": [{"name": "birth",
        "active": false, "detail": ")" + sentence +
                                                R"(", "loses": "births"}]})"},
                                       {"features"});
    std::istringstream lines(run.out);
    std::size_t words = 0;
    for (std::string line; std::getline(lines, line);) {
        CHECK(line.size() <= 80);
        for (auto at = line.find("verifier"); at != std::string::npos; at = line.find("verifier", at + 1))
            words++;
    }
    CHECK(words == 60);
}

TEST_CASE("suggest prints the policy as it is, and all of the answer as JSON") {
    const Answer answer{
        .body = R"({"container": "/p/web", "policy": "# why\nmode: audit\n", "rules": [], "unrecorded": 2})"};
    using Words = std::vector<std::string>;
    const auto format = GENERATE(Words{}, Words{"-o", "yaml"});
    Words words{"suggest", "-c", "/p/web", "--fold", "3"};
    words.insert(words.end(), format.begin(), format.end());
    const auto [run, asked] = exchange(answer, words);
    CHECK(run.code == 0);
    CHECK(run.out == "# why\nmode: audit\n");
    CHECK(asked.at(0).target == "/v1/suggest?container=%2Fp%2Fweb&fold=3");
    const auto whole = exchange(answer, {"suggest", "-c", "web", "-o", "json"});
    CHECK(whole.asked.at(0).target == "/v1/suggest?container=web");
    CHECK(json::parse(whole.run.out).at("unrecorded") == 2);
}
