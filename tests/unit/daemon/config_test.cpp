// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/config.h"
#include "userspace/daemon/files.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::daemon;

namespace {

struct Read {
    Config config;
    std::vector<std::string> faults;
};

Read read(const std::string &text) {
    ConfigFaults faults;
    RawSettings raw;
    parse_config("p.yaml", text, raw, faults);
    Read result;
    result.config = make_config(raw, faults);
    result.faults = faults.faults;
    return result;
}

bool has(const std::vector<std::string> &faults, const std::string &beginning) {
    return std::any_of(faults.begin(), faults.end(), [&](const auto &f) { return f.starts_with(beginning); });
}

} // namespace

TEST_CASE("an empty file is the defaults") {
    for (const auto *text : {"", "# nothing\n", "---\n"}) {
        const auto [config, faults] = read(text);
        CHECK(faults.empty());
        CHECK(config.policies == "/etc/penstock/policies.d");
        CHECK(config.api_socket == "/run/penstock/api.sock");
        CHECK(config.birth.strict_roots.empty());
        CHECK(config.birth.names.size() == 4);
    }
}

TEST_CASE("every setting is read") {
    const auto [config, faults] = read(R"(
gate-root: /sys/fs/cgroup/x
strict-root: [/penstock.slice/, /b.slice=audit]
policies: /p
state-dir: /s
run-dir: /r
bpffs: /b/penstock
metrics-address: "[::1]:9464"
resolv-conf: /c
log-level: debug
log-format: json
birth-verdict: audit
birth-name: [docker-, ours-=deny]
birth-path: [/kubepods/]
)");
    REQUIRE(faults.empty());
    CHECK(config.gate_root == "/sys/fs/cgroup/x");
    CHECK(config.api_socket == "/r/api.sock");
    CHECK(config.metrics_address == "[::1]:9464");
    CHECK(config.log_level == LogLevel::debug);
    CHECK(config.log_format == LogFormat::json);
    REQUIRE(config.birth.strict_roots.size() == 2);
    CHECK(config.birth.strict_roots[0].text == "/penstock.slice");
    CHECK(config.birth.strict_roots[0].policy == abi::PS_POLICY_BIRTH_DENY);
    CHECK(config.birth.strict_roots[1].policy == abi::PS_POLICY_BIRTH_AUDIT);
    REQUIRE(config.birth.names.size() == 2);
    CHECK(config.birth.names[0].policy == abi::PS_POLICY_BIRTH_AUDIT);
    CHECK(config.birth.names[1].text == "ours-");
    CHECK(config.birth.names[1].policy == abi::PS_POLICY_BIRTH_DENY);
    CHECK(config.birth.paths[0].text == "/kubepods/");
}

TEST_CASE("all faults of a file are reported at once, each at its place") {
    const auto faults = read(R"(policies: relative
stat-dir: /s
log-level: loud
log-level: info
strict-root: /not-a-list
birth-name: [/path, docker-=perhaps]
metrics-address: 9464
state-dir: [/a]
)")
                            .faults;
    CHECK(has(faults, "p.yaml:1:11: expected an absolute path"));
    CHECK(has(faults, "p.yaml:2:1: unknown setting 'stat-dir'"));
    CHECK(has(faults, "p.yaml:3:12: "));
    CHECK(has(faults, "p.yaml:4:1: 'log-level' is given twice"));
    CHECK(has(faults, "p.yaml:5:14: 'strict-root' takes a list"));
    CHECK(has(faults, "p.yaml:6:14: expected the beginning of a cgroup's name"));
    CHECK(has(faults, "p.yaml:6:21: expected deny, allow or audit"));
    CHECK(has(faults, "p.yaml:7:18: expected address:port"));
    CHECK(has(faults, "p.yaml:8:12: 'state-dir' takes one value"));
    CHECK(faults.size() == 9);
}

TEST_CASE("what is no YAML mapping is one fault") {
    for (const auto *text : {"- a\n", "just text", "a: [1", "a: 1\n---\nb: 2\n", "? [x]\n: 1\n"}) {
        INFO(text);
        const auto faults = read(text).faults;
        REQUIRE(faults.size() >= 1);
        CHECK(faults[0].starts_with("p.yaml"));
    }
}

TEST_CASE("metrics addresses") {
    struct Row {
        const char *text;
        bool good;
    };
    for (const auto &[text, good] : {Row{"127.0.0.1:9464", true}, Row{"[::]:1", true}, Row{"x:0", false},
                                     Row{"x:65536", false}, Row{":80", false}, Row{"1.2.3.4:80x", false}}) {
        INFO(text);
        CHECK(read("metrics-address: '" + std::string(text) + "'").faults.empty() == good);
    }
}

TEST_CASE("a socket path longer than the kernel takes is refused") {
    CHECK(read("run-dir: /" + std::string(100, 'x')).faults.size() == 1);
}

TEST_CASE("the packaged settings are in order, and say the defaults except for the strict root") {
    const auto text = read_file(PENSTOCK_SOURCE_DIR "/packaging/penstock.yaml", 65536);
    REQUIRE(text.has_value());
    const auto [config, faults] = read(*text);
    CHECK(faults.empty());
    REQUIRE(config.birth.strict_roots.size() == 1);
    CHECK(config.birth.strict_roots[0].text == "/penstock.slice");
    const auto defaults = read("").config;
    CHECK(config.policies == defaults.policies);
    CHECK(config.state_dir == defaults.state_dir);
    CHECK(config.run_dir == defaults.run_dir);
    CHECK(config.bpffs == defaults.bpffs);
    CHECK(config.birth.names.size() == defaults.birth.names.size());
}

TEST_CASE("text that yaml-cpp takes for documents without end is one fault") {
    for (const auto *text : {"]", "run-dir: /x\n]", "a: b\n,", "}}"}) {
        INFO(text);
        CHECK(read(text).faults.size() >= 1);
    }
}

TEST_CASE("a socket's path that is too long is a fault of the setting that made it so") {
    CHECK(has(read("run-dir: /" + std::string(120, 'x') + "\n").faults, "p.yaml:1:10: "));
    CHECK(has(read("run-dir: /r\napi-socket: /" + std::string(120, 'x') + "\n").faults, "p.yaml:2:13: "));
}
