// SPDX-License-Identifier: Apache-2.0
// What `penstock top` draws and how keys move it, without a terminal.
#include "userspace/cli/terminal_text.h"
#include "userspace/cli/top_table.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>

using namespace penstock::cli;

namespace {

Row row(const std::string &name, double egress, double denials = 0) {
    Row row;
    row.cgroup_id = row.name = name;
    row.per_s[0] = egress;
    row.per_s[5] = denials;
    return row;
}

std::vector<std::string> names(const std::vector<Row> &rows) {
    std::vector<std::string> all;
    for (const Row &each : rows)
        all.push_back(each.name);
    return all;
}

std::vector<std::string> drawn(std::vector<Row> rows, View view, Picture size) {
    sort_rows(rows, view);
    return picture(rows, view, 2, "", size);
}

View pressed(std::string_view keys, View view = {}) {
    press(view, keys);
    return view;
}

using Names = std::vector<std::string>;

} // namespace

TEST_CASE("numbers are at most five columns wide, and never rounded up") {
    CHECK(short_count(0) == "0");
    CHECK(short_count(0.01) == "<0.1");
    CHECK(short_count(0.59) == "0.5");
    CHECK(short_count(3) == "3");
    CHECK(short_count(9999.9) == "9999");
    CHECK(short_count(10000) == "10.0k");
    CHECK(short_count(999'999) == "999k");
    CHECK(short_count(1'000'000) == "1.0M");
    CHECK(short_bytes(1023.9) == "1023");
    CHECK(short_bytes(1024) == "1.0K");
    CHECK(short_bytes(1023.99 * 1024) == "1023K");
    CHECK(short_bytes(12.5 * 1024 * 1024) == "12.5M");
    for (double value = 0.001; value < 1e19; value *= 1.37) {
        CHECK(short_count(value).size() <= 5);
        CHECK(short_bytes(value).size() <= 5);
    }
    CHECK(short_duration(59) == "59s");
    CHECK(short_duration(3599) == "59m");
    CHECK(short_duration(86399) == "23h");
    CHECK(short_duration(86400 * 5000ULL) == "999d");
}

TEST_CASE("the most comes first, names from a on, and reversed the other way round") {
    std::vector<Row> rows{row("b", 1, 7), row("a", 1, 9), row("c", 5, 8)};
    const auto sorted = [&](View view) {
        sort_rows(rows, view);
        return names(rows);
    };
    CHECK(sorted({}) == Names{"c", "a", "b"});
    CHECK(sorted(pressed("r")) == Names{"a", "b", "c"});
    CHECK(sorted(pressed("d")) == Names{"a", "c", "b"});
    CHECK(sorted(pressed("n")) == Names{"a", "b", "c"});
    CHECK(sorted(pressed("nr")) == Names{"c", "b", "a"});
    rows[0].idle_s = 3; // c
    CHECK(sorted(pressed("z")) == Names{"c", "a", "b"});
    rows[2].quotas = {{"p", "r", "", 9, 10, 0, 90}}; // b
    CHECK(sorted(pressed("b")).front() == "b");
}

TEST_CASE("keys are letters and the arrows of both kinds; what is unknown does nothing") {
    CHECK(pressed("i").sort == Field::ingress);
    CHECK(pressed("p").sort == Field::packets);
    CHECK(pressed("c").sort == Field::connections);
    CHECK(pressed("u").sort == Field::queries);
    CHECK(pressed("l").sort == Field::limits);
    CHECK(pressed("re").reverse == false); // a new order begins the right way round
    CHECK(pressed("\x1b[C").sort == Field::ingress);
    CHECK(pressed("\x1bOD").sort == Field::name);
    CHECK(pressed("\x1b[D\x1b[D").sort == Field::quota);
    CHECK(pressed("\x1b[B\x1b[B\x1b[A").first == 1);
    CHECK(pressed("\x1b[A").first == 0);
    CHECK(pressed("\x1b[6~").first == 10);
    CHECK(pressed("\x1b[6~\x1b[H").first == 0);
    for (const std::string_view keys : {"q", "Q", "\x03", "ddq"})
        CHECK(pressed(keys).quit);
    for (const std::string_view keys : {"\x1b", "\x1b[", "\x1b[200~x", "\x1b[1;5q", "\xff\x01 ?", ""}) {
        const View view = pressed(keys);
        CHECK_FALSE(view.quit);
        CHECK(view.sort == Field::egress);
    }
    CHECK(field_named("denials") == Field::denials);
    CHECK_FALSE(field_named("bogus"));
}

TEST_CASE("80 columns show everything, the ends of a long name, and the bar of the fullest quota") {
    Row full = row("/kubepods.slice/kubepods-pod0123456789abcdef.slice/web", 12.5 * 1024 * 1024, 3);
    full.idle_s = 75;
    full.is_idle_longer = true;
    full.quotas = {{"p", "r", "", 83, 100, 0, 83}};
    const auto lines = drawn({full, row("/b", 0)}, {}, {80, 24, false});
    REQUIRE(lines.size() == 5);
    CHECK(lines[0] == "2 containers, per second over 2.0 s, by egress");
    CHECK(lines[2] == "CONTAINER          EGRESS INGRESS  PKTS CONNS QUERY  DENY LIMIT  IDLE      QUOTA");
    CHECK(lines[3] == "/kubepod…slice/web  12.5M       0     0     0     0     3     0   >1m ####.  83%");
    CHECK(lines[4] == "/b                      0       0     0     0     0     0     0     -          -");
}

TEST_CASE("a spent quota is a word, at whatever per cent it is denied") {
    Row spent = row("/a", 0);
    spent.quotas = {{"p", "r", "", 97, 100, 0, 97, true}};
    CHECK(drawn({spent}, {}, {80, 24, false}).at(3).ends_with("#####spent"));
}

TEST_CASE("any size is filled and none is exceeded; the least wanted columns go first") {
    std::vector<Row> rows;
    for (int i = 0; i < 30; ++i)
        rows.push_back(row("/penstock.slice/container-" + std::to_string(i), i * 1e5, i));
    rows[3].quotas = {{"p", "r", "", 1, 2, 0, 50}};
    for (std::size_t columns = 0; columns < 140; columns += columns < 20 ? 1 : 7)
        for (const std::size_t height : {0U, 1U, 2U, 3U, 4U, 10U, 33U, 50U}) {
            const auto lines = drawn(rows, {}, {columns, height, false});
            CHECK(lines.size() == (columns == 0 ? 0 : std::min<std::size_t>(height, 33)));
            for (const auto &line : lines)
                CHECK(text_columns(line) <= columns);
        }
    const auto narrow = drawn(rows, {}, {40, 24, false});
    CHECK(narrow[2].find("EGRESS") != std::string::npos);
    CHECK(narrow[2].find("DENY") != std::string::npos);
    CHECK(narrow[2].find("IDLE") == std::string::npos);
    CHECK(drawn({row("/a", 1)}, {}, {80, 24, false})[2].find("QUOTA") == std::string::npos);
}

TEST_CASE("the view stays within the rows") {
    std::vector<Row> rows;
    for (int i = 10; i < 40; ++i)
        rows.push_back(row("/" + std::to_string(i), 0));
    View view = pressed("\x1b[F"); // to the end
    const auto lines = picture(rows, view, 2, "", {80, 13, false});
    CHECK(view.first == 20);
    CHECK(lines.at(3).starts_with("/30"));
    CHECK(lines.at(12).starts_with("/39"));
    CHECK(lines.at(0).ends_with(", 21 to 30"));
    picture(rows, view, 2, "", {80, 50, false});
    CHECK(view.first == 0);
}

TEST_CASE("hostile names and troubles stay one line without control characters") {
    View view;
    const auto lines = picture({row("/a\x1b[2J\nb", 1)}, view, 2, "no\x1b[2Jdaemon\n", {80, 24, true});
    CHECK(lines.size() == 4);
    for (const auto &line : lines) {
        CHECK(line.find('\n') == std::string::npos);
        CHECK(line.find("\x1b[2J") == std::string::npos);
    }
    CHECK(lines[0].find("no\\x1b[2Jdaemon") != std::string::npos);
}

TEST_CASE("for what is no terminal it is a table with every row") {
    std::ostringstream out;
    plain_table({row("/penstock.slice/web", 2048), row("/b", 0)}).print(out, {});
    CHECK(out.str() == "CONTAINER            EGRESS  INGRESS  PKTS  CONNS  QUERY  DENY  LIMIT  IDLE\n"
                       "/penstock.slice/web    2.0K        0     0      0      0     0      0     -\n"
                       "/b                        0        0     0      0      0     0      0     -\n");
}

TEST_CASE("an interval has a unit or is seconds, from 100 ms to an hour") {
    using std::chrono::milliseconds;
    CHECK(interval_of("500ms") == milliseconds(500));
    CHECK(interval_of("2") == milliseconds(2000));
    CHECK(interval_of("2s") == milliseconds(2000));
    CHECK(interval_of("60m") == milliseconds(3'600'000));
    for (const std::string_view text :
         {"", "s", "0", "99ms", "61m", "2h", "2 s", "-1", "1.5s", "99999999999999999999"})
        CHECK_FALSE(interval_of(text));
}
