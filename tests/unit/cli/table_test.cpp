// SPDX-License-Identifier: Apache-2.0
#include "userspace/cli/table.h"
#include "userspace/cli/terminal_text.h"

#include <catch2/catch.hpp>

#include <sstream>

using namespace penstock::cli;

namespace {

std::string printed(const Table &table, const Terminal &terminal = {}) {
    std::ostringstream out;
    table.print(out, terminal);
    return out.str();
}

std::size_t longest_line(const std::string &text) {
    std::size_t longest = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        longest = std::max(longest, text_columns(line));
    return longest;
}

} // namespace

TEST_CASE("columns are aligned, numbers to the right, an empty cell is a dash") {
    Table table({{"NAME"}, {"PACKETS", Table::Align::right}, {"WHY"}});
    table.row({{"web"}, {"7"}, {"cidr"}});
    table.row({{"a-longer-name"}, {"12345678"}, {""}});
    table.row({{"bücher"}});
    CHECK(printed(table) == "NAME            PACKETS  WHY\n"
                            "web                   7  cidr\n"
                            "a-longer-name  12345678  -\n"
                            "bücher                -  -\n");
}

TEST_CASE("a hostile cell stays one cell of one line") {
    Table table({{"NAME"}, {"X"}});
    table.row({{"evil\n\x1b[1Aroot  allow"}, {"1"}});
    CHECK(printed(table) == "NAME                        X\nevil\\x0a\\x1b[1Aroot  allow  1\n");
}

TEST_CASE("on a terminal the shrinking columns give way until the line fits and elsewhere nothing is cut") {
    Table table({{"CONTAINER", Table::Align::left, true}, {"NAME", Table::Align::left, true}, {"FIXED"}});
    table.row({{std::string(90, 'c')}, {std::string(50, 'n')}, {std::string(20, 'f')}});
    CHECK(longest_line(printed(table)) == 90 + 2 + 50 + 2 + 20);
    const std::string narrow = printed(table, {.columns = 80});
    CHECK(longest_line(narrow) == 80);
    CHECK(narrow.find(std::string(20, 'f')) != std::string::npos);
    CHECK(longest_line(printed(table, {.columns = 10})) == 8 + 2 + 8 + 2 + 20);
}

TEST_CASE("colour is only on a terminal that has it") {
    Table table({{"VERDICT"}});
    table.row({{"deny", Tone::bad}});
    CHECK(printed(table, {.columns = 80, .colour = false}).find('\x1b') == std::string::npos);
    CHECK(printed(table, {.columns = 80, .colour = true}).find("\x1b[31mdeny\x1b[0m") != std::string::npos);
}

TEST_CASE("facts are aligned and printable") {
    Facts facts;
    facts.add("state", "ready");
    facts.add("gate root", "/x\x1b[2J");
    facts.add("pins", "");
    std::ostringstream out;
    facts.print(out, {});
    CHECK(out.str() == "state      ready\ngate root  /x\\x1b[2J\npins       -\n");
}
