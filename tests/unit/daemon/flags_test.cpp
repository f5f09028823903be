// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/daemon/temp_directory.h"
#include "userspace/daemon/flags.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::daemon;

namespace {

CommandLineResult read(std::vector<const char *> words) {
    words.insert(words.begin(), "penstockd");
    return read_command_line(static_cast<int>(words.size()), words.data());
}

} // namespace

TEST_CASE("a flag replaces what the file says") {
    const TempDirectory directory;
    const auto file = directory.write("c.yaml", "state-dir: /file\nrun-dir: /run/x\nstrict-root: [/a, /b]\n");
    const auto result = read({"--config", file.c_str(), "--state-dir", "/flag", "--strict-root", "/c"});
    REQUIRE(result.command_line);
    const auto &config = result.command_line->config;
    CHECK(config.state_dir == "/flag");
    CHECK(config.run_dir == "/run/x");
    REQUIRE(config.birth.strict_roots.size() == 1);
    CHECK(config.birth.strict_roots[0].text == "/c");
}

TEST_CASE("repeatable flags add up, others are refused the second time") {
    const auto twice = read({"--strict-root", "/a", "--strict-root=/b=allow"});
    REQUIRE(twice.command_line);
    CHECK(twice.command_line->config.birth.strict_roots.size() == 2);
    CHECK(read({"--state-dir", "/a", "--state-dir", "/b"}).exit_code == 2);
}

TEST_CASE("bad flags and settings end with 2") {
    for (const auto &words :
         std::vector<std::vector<const char *>>{{"--nonsense"},
                                                {"stray"},
                                                {"--state-dir"},
                                                {"--state-dir", "relative"},
                                                {"--log-level", "loud"},
                                                {"--config", "/nonexistent/penstock.yaml"},
                                                {"--check-config", "--detach-all"}}) {
        INFO(words[0]);
        const auto result = read(words);
        CHECK_FALSE(result.command_line);
        CHECK(result.exit_code == 2);
    }
}

TEST_CASE("what to do instead of running") {
    CHECK(read({"--check-config"}).command_line->action == CommandLine::Action::check_config);
    CHECK(read({"--detach-all"}).command_line->action == CommandLine::Action::detach_all);
    CHECK_FALSE(read({"--version"}).command_line);
    CHECK(read({"--version"}).exit_code == 0);
    CHECK(read({"--help"}).exit_code == 0);
}
