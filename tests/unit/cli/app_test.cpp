// SPDX-License-Identifier: Apache-2.0
// Words and exit codes, before any daemon is asked.
#include "tests/unit/cli/run_cli.h"

#include <catch2/catch.hpp>

using penstock::test::contains;
using penstock::test::run_cli;
using Words = std::vector<std::string>;

TEST_CASE("a command line that means nothing is exit 2, an error on stderr, nothing on stdout") {
    const Words words = GENERATE(
        Words{}, Words{"bogus"}, Words{"--bogus"}, Words{"status", "extra"}, Words{"status", "-o", "xml"},
        Words{"status", "-o"}, Words{"status", "--follow"}, Words{"policy"}, Words{"policy", "bogus"},
        Words{"policy", "check"}, Words{"policy", "apply"}, Words{"policy", "apply", "a", "b"},
        Words{"policy", "show", "--source"}, Words{"policy", "delete"}, Words{"explain"},
        Words{"explain", "-c", "web"}, Words{"explain", "--domain", "x.com"},
        Words{"explain", "-c", "web", "--domain", "x.com", "--ip", "192.0.2.1"},
        Words{"counters", "--container"}, Words{"events", "--denied=maybe"}, Words{"counters", "-c", ""},
        Words{"learned", "--container="}, Words{"policy", "show", ""},
        Words{"explain", "-c", "web", "--domain", ""}, Words{"suggest"},
        Words{"suggest", "-c", "web", "--fold", "1"}, Words{"unload", "now"}, Words{"top", "--sort", "bogus"},
        Words{"top", "--interval", "2h"}, Words{"top", "--interval", "0"}, Words{"top", "--interval", "99ms"},
        Words{"top", "--interval", "s"}, Words{"top", "-i", ""}, Words{"status", "ps"});
    const auto run = run_cli(words);
    INFO(run.out << run.err);
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    CHECK_FALSE(run.err.empty());
}

TEST_CASE("an error of the command line is one line that says what was expected") {
    CHECK(run_cli({"status", "-o", "xml"}).err ==
          "penstock: --output: expected table, json or yaml, not 'xml' (see penstock --help)\n");
    CHECK(run_cli({"explain", "-c", "web"}).err ==
          "penstock: --domain or --ip is required (see penstock --help)\n");
    CHECK(run_cli({"bogus"}).err == "penstock: unknown command 'bogus' (see penstock --help)\n");
    CHECK(run_cli({"policy", "bogus"}).err == "penstock: unknown command 'bogus' (see penstock --help)\n");
    CHECK(run_cli({"--bogus"}).err == "penstock: unknown option '--bogus' (see penstock --help)\n");
    CHECK(run_cli({"evil\x1b[2J"}).err.find('\x1b') == std::string::npos);
}

TEST_CASE("every command has help with examples and the exit codes") {
    const Words words =
        GENERATE(Words{"status"}, Words{"features"}, Words{"ps"}, Words{"policy"}, Words{"policy", "check"},
                 Words{"policy", "show"}, Words{"policy", "diff"}, Words{"policy", "apply"},
                 Words{"policy", "delete"}, Words{"explain"}, Words{"suggest"}, Words{"counters"},
                 Words{"events"}, Words{"learned"}, Words{"reload"}, Words{"unload"}, Words{"top"});
    Words asked = words;
    asked.push_back("--help");
    const auto run = run_cli(asked);
    CHECK(run.code == 0);
    CHECK(run.err.empty());
    CHECK(contains(run.out, words.back()));
    const auto examples = run.out.find("Examples:\n");
    REQUIRE(examples != std::string::npos);
    CHECK(run.out.find("penstock " + words.front(), examples) != std::string::npos);
    CHECK(contains(run.out, "Exit status:"));
}

TEST_CASE("the program has help that names every command, and a version") {
    const auto help = run_cli({"--help"});
    CHECK(help.code == 0);
    for (const std::string command : {"status", "features", "ps", "policy", "explain", "suggest", "counters",
                                      "events", "learned", "reload", "unload", "top"})
        CHECK(contains(help.out, "\n  " + command + " "));
    const auto version = run_cli({"--version"});
    CHECK(version.code == 0);
    CHECK(version.out == "penstock " PENSTOCK_VERSION "\n");
}

TEST_CASE("without a daemon every command that needs one is exit 2 and says where it looked") {
    const Words words =
        GENERATE(Words{"status"}, Words{"features"}, Words{"ps"}, Words{"policy", "show"},
                 Words{"policy", "show", "x"}, Words{"policy", "delete", "x"}, Words{"counters"},
                 Words{"events"}, Words{"events", "-f"}, Words{"top"}, Words{"learned"}, Words{"reload"},
                 Words{"suggest", "-c", "web"}, Words{"explain", "-c", "web", "--ip", "192.0.2.1"});
    const bool before = GENERATE(true, false);
    Words all = words;
    all.insert(before ? all.begin() : all.end(), {"--api-socket", "/nonexistent/api.sock"});
    const auto run = run_cli(all);
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    CHECK(run.err ==
          "penstock: cannot connect to the daemon at /nonexistent/api.sock: No such file or directory\n");
}

TEST_CASE("unload runs the program it is given, and says so when it can't") {
    const auto run = run_cli({"unload", "--penstockd", "/nonexistent/penstockd"});
    CHECK(run.code == 2);
    CHECK(run.out.empty());
    const bool refused_or_missing = contains(run.err, "needs root") ||
                                    contains(run.err, "cannot run /nonexistent/penstockd --detach-all");
    CHECK(refused_or_missing);
}
