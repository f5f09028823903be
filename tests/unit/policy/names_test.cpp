// SPDX-License-Identifier: Apache-2.0
// The canonical form of names and patterns: lengths, octets, case, final dot, A-labels and U-labels.
#include "policy/canonical_name.h"
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;

namespace {

std::string name(std::string_view text) {
    const auto outcome = canonical_name(text);
    return outcome ? *outcome : "fault: " + outcome.error().message;
}
std::string pattern(std::string_view text) {
    const auto outcome = parse_name_pattern(text);
    return outcome ? outcome->text() : "fault: " + outcome.error().message;
}
bool is_fault(const std::string &text, const std::string &part) {
    return text.rfind("fault: ", 0) == 0 && text.find(part) != std::string::npos;
}

// A name of `octets` octets: labels of up to 63, dots between.
std::string name_of(std::size_t octets) {
    std::string out;
    while (out.size() < octets) {
        if (!out.empty())
            out += '.';
        const auto left = octets - out.size();
        out.append(left == 64 ? 62 : std::min<std::size_t>(left, 63), 'a');
    }
    return out;
}

} // namespace

TEST_CASE("a label has 1 to 63 octets") {
    CHECK(name("a.b") == "a.b");
    CHECK(name(std::string(63, 'x') + ".com") == std::string(63, 'x') + ".com");
    CHECK(is_fault(name(std::string(64, 'x') + ".com"), "has 64 octets; at most 63"));
    CHECK(name("a") == "a");
}

TEST_CASE("a name has at most 253 octets") {
    REQUIRE(name_of(253).size() == 253);
    REQUIRE(name_of(254).size() == 254);
    CHECK(name(name_of(253)) == name_of(253));
    CHECK(name(name_of(253) + ".") == name_of(253));
    CHECK(is_fault(name(name_of(254)), "has 254 octets; at most 253"));
    CHECK(is_fault(name(std::string(100'000, 'a')), "longer than 253"));
}

TEST_CASE("a name may have 127 labels and no more") {
    std::string labels = "a";
    for (int i = 1; i < 127; ++i)
        labels += ".a";
    REQUIRE(labels.size() == 253);
    CHECK(name(labels) == labels);
    CHECK(is_fault(name(labels + ".a"), "at most 253"));
}

TEST_CASE("ASCII case is folded and one final dot is dropped") {
    CHECK(name("API.Example.COM") == "api.example.com");
    CHECK(name("example.com.") == "example.com");
    CHECK(is_fault(name("example.com.."), "empty label"));
    CHECK(is_fault(name("."), "empty name"));
    CHECK(is_fault(name(""), "empty name"));
    CHECK(is_fault(name(".example.com"), "empty label"));
    CHECK(is_fault(name("a..b"), "empty label"));
}

TEST_CASE("letters, digits, hyphen and underscore are the octets of a name") {
    CHECK(name("_dmarc.example.com") == "_dmarc.example.com");
    CHECK(name("a-b.3com.c0m") == "a-b.3com.c0m");
    CHECK(name("1e100.net") == "1e100.net");
    for (const char *text : {"a b.com", "a,b", "a+b.com", "a@b.com", "exa\tmple.com", "a\\.com", "a\x7f.com"})
        CHECK(is_fault(name(text), "cannot stand in a name"));
    CHECK(is_fault(name(std::string_view("a\0b.com", 7)), "\\x00"));
}

TEST_CASE("what belongs elsewhere is refused with a word where to put it") {
    CHECK(is_fault(name("https://example.com/"), "only the host name of a URL"));
    CHECK(is_fault(name("example.com:443"), "ports go in ports"));
    CHECK(is_fault(name("10.0.0.1"), "addresses go in cidrs"));
    CHECK(is_fault(name("fd00::1"), "addresses go in cidrs"));
    CHECK(is_fault(name("10.0.0.0/8"), "go in cidrs"));
}

TEST_CASE("A-labels stay and U-labels become A-labels by IDNA 2008, or are refused") {
    CHECK(name("XN--BCHER-KVA.example") == "xn--bcher-kva.example");
    CHECK(name("bücher.example") == "xn--bcher-kva.example");
    CHECK(name("Bücher.Example.") == "xn--bcher-kva.example"); // the B is ASCII
    CHECK(name("bu\xcc\x88"
               "cher.example") == "xn--bcher-kva.example"); // u and a combining diaeresis
    CHECK(name("faß.example") == "xn--fa-hia.example");     // not "fass": IDNA 2008
    CHECK(name("_sip.日本語.jp") == "_sip.xn--wgv71a119e.jp");
    CHECK(is_fault(name("BÜCHER.example"), "IDNA 2008"));
    CHECK(is_fault(name("☃.example"), "IDNA 2008"));
    CHECK(is_fault(name("例。example"), "IDNA 2008")); // an ideographic full stop is no dot
    CHECK(is_fault(name("a\xff.example"), "IDNA 2008"));
    std::string wide;
    for (int i = 0; i < 60; ++i)
        wide += "ü";
    CHECK(is_fault(name(wide + ".example"), ""));
}

TEST_CASE("a star stands alone or as the whole first label") {
    CHECK(pattern("*.Example.com.") == "*.example.com");
    CHECK(pattern("*") == "*");
    CHECK(pattern("*.com") == "*.com");
    CHECK(parse_name_pattern("*")->kind == NamePattern::Kind::every);
    CHECK(parse_name_pattern("*.a.b")->kind == NamePattern::Kind::below);
    CHECK(parse_name_pattern("a.b")->kind == NamePattern::Kind::exact);
    for (const char *text : {"**", "*.*", "*.*.com", "a.*.com", "*a.com", "a*.com", "example.*", "**.com"})
        CHECK(is_fault(pattern(text), "* stands only alone"));
    CHECK(is_fault(pattern("*."
                           "."),
                   "empty"));
    CHECK(is_fault(pattern("*..com"), "empty label"));
    CHECK(is_fault(name("*.example.com"), "* stands only alone")); // a search suffix is no pattern
}

TEST_CASE("the same name in any spelling is the same pattern in a policy") {
    const auto p = policy_of("  allow: [{domains: [EXAMPLE.com., example.com, \"*.Example.COM\"]}]");
    REQUIRE(p.allow[0].domains.size() == 3);
    CHECK(p.allow[0].domains[0] == p.allow[0].domains[1]);
    CHECK(p.allow[0].domains[2].name == "example.com");
}

TEST_CASE("an octet that no name has is refused in a U-label, too: libidn2 would cut the text at a NUL") {
    const std::string cut("b\xc3\xbc\0x.example", 13);
    CHECK(is_fault(name(cut), "\\x00"));
    CHECK(is_fault(pattern("*." + cut), "\\x00"));
    CHECK(is_fault(name("b\xc3\xbc\n.example"), "\\x0a"));
    CHECK(is_fault(name("b\xc3\xbc*.example"), "stands only alone"));
}
