// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/names.h"

#include <catch2/catch.hpp>
#include <set>

using namespace penstock;
using namespace penstock::telemetry;

TEST_CASE("every reason has a text of its own, and an unknown one keeps its number") {
    std::set<std::string> texts;
    for (int reason = 0; reason < abi::PS_R_COUNT; ++reason)
        texts.insert(reason_name(static_cast<std::uint8_t>(reason)));
    CHECK(texts.size() == abi::PS_R_COUNT);
    CHECK(reason_name(abi::PS_R_NO_RULE) == "no-rule");
    CHECK(reason_name(250) == "reason-250");
}

TEST_CASE("numbers of the boundary have the words of the API") {
    CHECK(verdict_name(abi::PS_WOULD_DENY) == "would-deny");
    CHECK(verdict_name(77) == "unknown");
    CHECK(hook_name(abi::PS_HOOK_SOCK_CREATE) == "sock-create");
    CHECK(hook_name(abi::PS_HOOK_SOCKOPT) == "setsockopt");
    CHECK(event_kind_name(abi::PS_EVENT_RELEASED) == "released");
    CHECK(protocol_name(17) == "udp");
    CHECK(protocol_name(132) == "132");
    CHECK(protocol_name(0).empty());
    CHECK(query_type_name(28) == "AAAA");
    CHECK(query_type_name(65535) == "TYPE65535");
    CHECK(query_type_name(0).empty());
    CHECK(birth_name(abi::PS_POLICY_BIRTH_AUDIT) == "audit");
    CHECK(hex_id(0) == "0x0");
    CHECK(hex_id(0x1f2a) == "0x1f2a");
}

TEST_CASE("names of the kernel are turned round") {
    CHECK(forward_name("moc.elpmaxe") == "example.com");
    CHECK(forward_name(std::string_view("moc.elpmaxe\0", 12)) == "example.com");
    CHECK(forward_name("").empty());
}

TEST_CASE("addresses are texts, none is empty") {
    std::uint8_t octets[16] = {};
    CHECK(address_text(octets).empty());
    octets[10] = octets[11] = 0xff;
    octets[12] = 10;
    octets[15] = 1;
    CHECK(address_text(octets) == "10.0.0.1");
}

TEST_CASE("times are RFC 3339 in UTC with milliseconds") {
    using namespace std::chrono;
    CHECK(time_text(system_clock::time_point(milliseconds(1769860800123))) == "2026-01-31T12:00:00.123Z");
    CHECK(time_text({}) == "1970-01-01T00:00:00.000Z");
}

TEST_CASE("any octets become UTF-8, valid text is unchanged") {
    struct Row {
        std::string in, out;
    };
    const Row rows[] = {
        {"plain", "plain"},
        {"\xc3\xbc", "\xc3\xbc"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         "a\\xffb"},
        {"\xc0\xaf", "\\xc0\\xaf"},                   // overlong
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          // surrogate
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, // above U+10FFFF
        {"\xe2\x82", "\\xe2\\x82"},                   // cut off
    };
    for (const auto &row : rows)
        CHECK(utf8_text(row.in) == row.out);
}
