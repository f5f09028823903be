// SPDX-License-Identifier: Apache-2.0
#include "userspace/cli/terminal_text.h"

#include <catch2/catch.hpp>

#include <limits>

using namespace penstock::cli;
using namespace std::string_literals;

TEST_CASE("printable writes out what could move a terminal or deceive its reader") {
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"plain text 1.2.3.4", "plain text 1.2.3.4"},
        {"", ""},
        {"\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"},
        {"a\r\nb\tc", "a\\x0d\\x0ab\\x09c"},
        {"nul\0end"s, "nul\\x00end"},
        {"del\x7f", "del\\x7f"},
        {"c1 \xc2\x9b"
         "31m",
         "c1 \\x9b31m"},
        {"\xe2\x80\xae"
         "txt.exe",
         "\\u{202e}txt.exe"},
        {"zero\xe2\x80\x8bwidth", "zero\\u{200b}width"},
        {"tag\xf3\xa0\x81\x81", "tag\\u{e0041}"},
        {"b\xc3\xbc"
         "cher \xe2\x82\xac \xf0\x9f\x99\x82",
         "b\xc3\xbc"
         "cher \xe2\x82\xac \xf0\x9f\x99\x82"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"overlong \xc0\xaf", "overlong \\xc0\\xaf"},
        {"overlong \xe0\x80\xaf", "overlong \\xe0\\x80\\xaf"},
        {"surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80"},
        {"past the end \xf4\x90\x80\x80", "past the end \\xf4\\x90\\x80\\x80"},
        {"cut \xe2\x82", "cut \\xe2\\x82"},
        {"lone \x80 tail", "lone \\x80 tail"},
    }));
    CHECK(printable(text) == expected);
}

TEST_CASE("printable leaves no control octet whatever it is given") {
    std::string every;
    for (int first = 0; first < 256; ++first)
        for (int second = 0; second < 256; ++second)
            every += {static_cast<char>(first), static_cast<char>(second)};
    for (const char character : printable(every))
        CHECK((static_cast<unsigned char>(character) >= 0x20 && character != 0x7f));
}

TEST_CASE("shortened keeps both ends and never splits a character") {
    CHECK(shortened("/penstock.slice/web", 80) == "/penstock.slice/web");
    CHECK(shortened("/penstock.slice/web", 9) == "/pen…/web");
    CHECK(shortened("abcdef", 1) == "…");
    CHECK(shortened("ääääää", 3) == "ä…ä");
    CHECK(text_columns(shortened("ääääää", 4)) == 4);
}

TEST_CASE("numbers are short, and never rounded up past what was counted") {
    CHECK(human_bytes(0) == "0 B");
    CHECK(human_bytes(1023) == "1023 B");
    CHECK(human_bytes(1024) == "1.0 KiB");
    CHECK(human_bytes(1024 * 1024 - 1) == "1023.9 KiB");
    CHECK(human_bytes(20ULL << 30) == "20.0 GiB");
    CHECK(human_bytes(std::numeric_limits<std::uint64_t>::max()) == "15.9 EiB");
    CHECK(human_count(9999) == "9999");
    CHECK(human_count(10000) == "10.0k");
    CHECK(human_count(999999) == "999.9k");
    CHECK(human_count(std::numeric_limits<std::uint64_t>::max()) == "18.4E");
    CHECK(human_duration(59) == "59s");
    CHECK(human_duration(185) == "3m 5s");
    CHECK(human_duration(7500) == "2h 5m");
    CHECK(human_duration(273600) == "3d 4h");
}

TEST_CASE("times are cut, and what is no time is left as it is") {
    CHECK(time_of_day("2026-01-31T12:00:00.123Z") == "12:00:00.123Z");
    CHECK(date_and_time("2026-01-31T12:00:00.123Z") == "2026-01-31 12:00:00Z");
    CHECK(time_of_day("yesterday") == "yesterday");
    CHECK(date_and_time("") == "");
}
