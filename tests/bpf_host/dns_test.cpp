// SPDX-License-Identifier: Apache-2.0
// Queries and answers as the kernel reads them, under the host's sanitizers.
#include "tests/bpf_host/parsers.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

namespace penstock::bpf_host {
namespace {

std::string reversed(std::string text) {
    std::reverse(text.begin(), text.end());
    return text;
}

Octets edns(std::uint16_t data_length, std::size_t there) {
    Octets opt = {0,
                  0,
                  41,
                  0x10,
                  0,
                  0,
                  0,
                  0,
                  0,
                  static_cast<std::uint8_t>(data_length >> 8),
                  static_cast<std::uint8_t>(data_length)};
    opt.resize(opt.size() + there, 0xaa);
    return opt;
}

std::string labels(int count, int octets) {
    std::string name;
    for (int i = 0; i < count; i++)
        name += (i ? "." : "") + std::string(static_cast<std::size_t>(octets), 'a');
    return name;
}

} // namespace

TEST_CASE("a name is read reversed and lower-cased, whatever its case and length") {
    const std::string names[] = {
        "example.com",           "a",           "EXAMPLE.Com",  "_dmarc.x-y.example",
        "xn--bcher-kva.example", labels(1, 63), labels(127, 1), labels(3, 63) + "." + std::string(61, 'b')};
    for (const std::string &name : names) {
        Message message;
        message.name = name;
        INFO(name);
        REQUIRE(read_query(message.octets()) == 0);
        std::string lower = name;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        CHECK(name_read() == reversed(lower));
    }
}

TEST_CASE("the root is the empty name") {
    Message message;
    message.raw_name = {0};
    REQUIRE(read_query(message.octets()) == 0);
    CHECK(name_read().empty());
}

TEST_CASE("the hash of a name does not depend on its case and does on its text") {
    Message message;
    message.name = "Example.com";
    REQUIRE(read_query(message.octets()) == 0);
    const auto hash = scratch__at(0)->name_hash;
    message.name = "exAMPLE.COM";
    REQUIRE(read_query(message.octets()) == 0);
    CHECK(scratch__at(0)->name_hash == hash);
    message.name = "example.con";
    REQUIRE(read_query(message.octets()) == 0);
    CHECK(scratch__at(0)->name_hash != hash);
}

TEST_CASE("a query that could hide its name is refused by reason") {
    struct {
        const char *what;
        Message message;
        int reason;
    } const cases[] = {
        {"response bit", {.flags = 0x8100}, PS_R_DNS_RESPONSE},
        {"opcode 4", {.flags = 0x2000}, PS_R_DNS_OPCODE},
        {"no question", {.questions = 0}, PS_R_DNS_QDCOUNT},
        {"two questions", {.questions = 2}, PS_R_DNS_QDCOUNT},
        {"an answer", {.answers = 1}, PS_R_DNS_COUNTS},
        {"an authority", {.authorities = 1}, PS_R_DNS_COUNTS},
        {"two additionals", {.additionals = 2}, PS_R_DNS_COUNTS},
        {"64-octet label", {.name = std::string(64, 'a') + ".com"}, PS_R_DNS_LABEL},
        {"compression", {.raw_name = {3, 'w', 'w', 'w', 0xc0, 12}}, PS_R_DNS_LABEL},
        {"space in a label", {.name = "a b.com"}, PS_R_DNS_LABEL},
        {"dot in a label", {.raw_name = {3, 'a', '.', 'b', 3, 'c', 'o', 'm', 0}}, PS_R_DNS_LABEL},
        {"NUL in a label", {.raw_name = {3, 'a', 0, 'b', 0}}, PS_R_DNS_LABEL},
        {"UTF-8",
         {.name = "b\xc3\xbc"
                  "cher.example"},
         PS_R_DNS_LABEL},
        {"254 octets", {.name = labels(3, 63) + "." + std::string(62, 'b')}, PS_R_DNS_NAME_LONG},
        {"128 labels", {.name = labels(128, 1)}, PS_R_DNS_NAME_LONG},
        {"class CHAOS", {.dns_class = 3}, PS_R_DNS_CLASS},
        {"octets behind", {.tail = {0}}, PS_R_DNS_TRAILING},
        {"EDNS announced, not there", {.additionals = 1}, PS_R_DNS_TRAILING},
        {"EDNS shorter than it says", {.additionals = 1, .tail = edns(8, 7)}, PS_R_DNS_TRAILING},
        {"octets behind EDNS", {.additionals = 1, .tail = edns(8, 9)}, PS_R_DNS_TRAILING},
        {"a record that is not EDNS",
         {.additionals = 1, .tail = {0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0}},
         PS_R_DNS_TRAILING},
        {"EDNS", {.additionals = 1, .tail = edns(0, 0)}, 0},
        {"EDNS with options", {.additionals = 1, .tail = edns(24, 24)}, 0},
        {"type HTTPS", {.type = 65}, 0},
    };
    for (const auto &c : cases) {
        INFO(c.what);
        CHECK(read_query(c.message.octets()) == c.reason);
    }
}

TEST_CASE("every truncation of a query is refused") {
    Message message;
    message.additionals = 1;
    message.tail = edns(8, 8);
    const Octets whole = message.octets();
    REQUIRE(read_query(whole) == 0);
    for (std::size_t n = 0; n < whole.size(); n++) {
        INFO(n);
        CHECK(read_query(Octets(whole.begin(), whole.begin() + static_cast<long>(n))) != 0);
    }
}

TEST_CASE("no mutation of a message makes a parser read out of bounds or the name region dirty") {
    std::mt19937 random(20261121);
    Message message;
    message.additionals = 1;
    message.tail = edns(8, 8);
    const Octets whole = message.octets();
    for (int round = 0; round < 200'000; round++) {
        Octets mutant = whole;
        mutant.resize(random() % (whole.size() + 64), static_cast<std::uint8_t>(random()));
        for (unsigned i = random() % 4; i > 0 && !mutant.empty(); i--)
            mutant[random() % mutant.size()] = static_cast<std::uint8_t>(random());
        if (read_query(mutant) == 0)
            name__reverse_address(0);
        const int at = dns__read_answer(0, 42);
        for (__u32 next = at > 0 ? static_cast<__u32>(at) : 0, i = 0; next && i < 200; i++)
            next = dns__read_record(0, next);
        const auto *behind = scratch__at(0)->name + PS_NAME_END;
        REQUIRE(std::all_of(behind, behind + 264, [](auto octet) { return octet == 0; }));
    }
}

TEST_CASE("reverse names stand for whole addresses only") {
    struct {
        const char *name, *address; // address: null when the name stands for none
    } const cases[] = {
        {"4.3.2.1.in-addr.arpa", "01020304"},  {"255.255.255.255.in-addr.arpa", "ffffffff"},
        {"0.0.0.10.in-addr.arpa", "0a000000"}, {"100.20.3.1.IN-ADDR.arpa", "01031464"},
        {"256.3.2.1.in-addr.arpa", nullptr},   {"04.3.2.1.in-addr.arpa", nullptr},
        {"3.2.1.in-addr.arpa", nullptr},       {"5.4.3.2.1.in-addr.arpa", nullptr},
        {"a.3.2.1.in-addr.arpa", nullptr},     {"in-addr.arpa", nullptr},
        {"4.3.2.1.xin-addr.arpa", nullptr},
    };
    for (const auto &c : cases) {
        Message message;
        message.name = c.name;
        INFO(c.name);
        REQUIRE(read_query(message.octets()) == 0);
        REQUIRE(name__reverse_address(0) == (c.address != nullptr));
        if (!c.address)
            continue;
        CHECK(address__is_v4(&scratch__at(0)->address));
        CHECK(address__v4(&scratch__at(0)->address) == std::stoul(c.address, nullptr, 16));
    }
    Message message;
    message.name = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    REQUIRE(read_query(message.octets()) == 0);
    REQUIRE(name__reverse_address(0) == 1);
    CHECK(address__class(&scratch__at(0)->address) == ADDRESS_PUBLIC);
    CHECK(scratch__at(0)->address.octets[0] == 0x20);
    CHECK(scratch__at(0)->address.octets[15] == 0xab);
    message.name = "a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    REQUIRE(read_query(message.octets()) == 0);
    CHECK(name__reverse_address(0) == 0);
}

TEST_CASE("an answer's records are walked through pointers, and never past the end") {
    Message message;
    message.flags = 0x8180;
    message.answers = 2;
    message.tail = {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12,        // CNAME
                    0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0,  0, 4, 192,  0,  2, 7}; // A
    const Octets whole = message.octets();
    Packet packet(whole);
    fresh_scratch();
    REQUIRE(dns__copy(&packet.view, 0, 0, packet.view.len) == 0);
    const int first = dns__read_answer(0, 42);
    REQUIRE(first > 0);
    CHECK(scratch__at(0)->answers == 2);
    const auto second = dns__read_record(0, static_cast<__u32>(first));
    CHECK(scratch__at(0)->record_type == 5);
    REQUIRE(dns__read_record(0, second) == whole.size());
    CHECK(scratch__at(0)->record_type == PS_DNS_A);
    CHECK(scratch__at(0)->record_ttl == 256);
    CHECK(scratch__at(0)->record_length == 4);
    CHECK(dns__read_record(0, static_cast<__u32>(whole.size())) == 0);
}

} // namespace penstock::bpf_host
