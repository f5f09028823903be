// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/daemon/temp_directory.h"
#include "userspace/base/cgroup_mount.h"
#include "userspace/daemon/flags.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <unistd.h>

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

TEST_CASE("a settings file that was named must be a regular file that can be read") {
    const TempDirectory directory;
    for (const std::string &file :
         {directory.path, directory.path + "/missing", std::string("/dev/zero"), std::string("/dev/null")}) {
        INFO(file);
        const auto result = read({"--config", file.c_str(), "--check-config"});
        CHECK_FALSE(result.command_line);
        CHECK(result.exit_code == 2);
    }
    CHECK(read({"--config", directory.write("empty.yaml", "").c_str(), "--check-config"}).command_line);
}

TEST_CASE("a fault of the settings cannot steer the terminal") {
    const TempDirectory directory;
    const auto file = directory.write("c.yaml", "\"\\e[2Jkey\": 1\n");
    std::FILE *shown = std::tmpfile();
    REQUIRE(shown);
    const int kept = ::dup(STDERR_FILENO);
    ::dup2(::fileno(shown), STDERR_FILENO);
    const auto result = read({"--config", file.c_str()});
    const auto flag = read({"--bad\x1b[2J"});
    ::dup2(kept, STDERR_FILENO);
    ::close(kept);
    std::rewind(shown);
    std::string text(4096, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), shown));
    std::fclose(shown);
    CHECK(result.exit_code == 2);
    CHECK(flag.exit_code == 2);
    CHECK(text.find("\\x1b[2Jkey") != std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("what to do instead of running") {
    CHECK(read({"--check-config"}).command_line->action == CommandLine::Action::check_config);
    CHECK(read({"--detach-all"}).command_line->action == CommandLine::Action::detach_all);
    CHECK_FALSE(read({"--version"}).command_line);
    CHECK(read({"--version"}).exit_code == 0);
    CHECK(read({"--help"}).exit_code == 0);
}

TEST_CASE("settings that this machine's cgroups refuse are not in order, but hinder nobody from taking "
          "enforcement off") {
    if (!cgroup_mount())
        return; // nothing to hold them against
    CHECK(read({"--gate-root", "/gate", "--strict-root", "/gate/x", "--check-config"}).exit_code == 0);
    CHECK(read({"--gate-root", "/gate", "--strict-root", "/nowhere", "--check-config"}).exit_code == 2);
    CHECK(read({"--gate-root", "/gate", "--strict-root", "/nowhere"}).exit_code == 2);
    CHECK(read({"--gate-root", "/gate", "--strict-root", "/nowhere", "--detach-all"}).exit_code == 0);
}
