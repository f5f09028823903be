// SPDX-License-Identifier: Apache-2.0
// YAML as a text: documents, styles, places, and what is refused of it.
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;
using Catch::Contains;

TEST_CASE("empty documents are skipped, several are read") {
    const std::string a = document("  mode: audit");
    std::string b = a;
    b.replace(b.find("name: p"), 7, "name: q");
    CHECK(load_text("").policies.empty());
    CHECK(load_text("# nothing\n---\n---\n...\n").diagnostics.empty());
    const auto loaded = load_text("---\n---\n" + a + "---\n# only a comment\n---\n" + b + "---\n");
    CHECK(faults(loaded) == "");
    CHECK(loaded.policies.size() == 2);
}

TEST_CASE("block and flow style mean the same") {
    const auto block = policy_of("  allow:\n  - domains:\n    - a.b\n    ports:\n    - tcp/443\n    - icmp");
    const auto flow = policy_of("  allow: [{domains: [a.b], ports: [tcp/443, icmp]}]");
    CHECK(block.allow[0].ports == flow.allow[0].ports);
    CHECK(block.allow[0].domains == flow.allow[0].domains);
    CHECK(flow.allow[0].ports.size() == 2);
}

TEST_CASE("a syntax fault costs its own document only") {
    const std::string good = document("  mode: audit");
    const auto loaded =
        load_text("spec: [1, 2\n---\n" + good + "---\nspec: \"open\n---\nkind: {a: b: c}\n---\nkind: 7\n");
    INFO(faults(loaded));
    CHECK(loaded.policies.size() == 1);
    REQUIRE(loaded.diagnostics.size() >= 4);
    CHECK_THAT(loaded.diagnostics.front().message, Contains("not YAML"));
    CHECK_THAT(faults(loaded), Contains("kind: expected text such as \"EgressPolicy\", found a number"));
}

TEST_CASE("stray marks of YAML are one fault, not documents without end") {
    for (const char *text : {",", "]", "}", ",a: b\n", "--- ,\n"}) {
        INFO(text);
        const auto loaded = load_text(text);
        CHECK(loaded.policies.empty());
        REQUIRE(loaded.diagnostics.size() == 1);
        CHECK_THAT(loaded.diagnostics[0].message, Contains("not YAML"));
    }
    CHECK_THAT(faults(load_text(document("  mode: audit") + "]\n")), Contains("not YAML"));
}

TEST_CASE("an unquoted star is explained") {
    CHECK_THAT(faults_of("  allow: [{domains: [*.example.com]}]"),
               Contains("5:22 ") && Contains("must be quoted"));
    CHECK_THAT(faults_of("  allow: [{domains: [*]}]"), Contains("must be quoted"));
}

TEST_CASE("anchors, aliases and tags are refused") {
    const auto anchored = faults_of("  allow:\n  - &r {domains: [a.b]}\n  - *r");
    CHECK_THAT(anchored, Contains("6:5 : an anchor") && Contains("7:5 : an alias"));
    CHECK_THAT(faults_of("  mode: !!binary aaaa"), Contains("a tag"));
    CHECK_THAT(faults_of("  mode: !x enforce"), Contains("a tag"));
    CHECK(faults_of("  mode: !!str enforce") == "");
    CHECK_THAT(faults_of("  <<: {mode: audit}"), Contains("unknown field \"<<\""));
    // The classical bomb: nothing is expanded.
    std::string bomb = "a: &a [x, x]\n";
    for (char c = 'b'; c < 'z'; ++c)
        bomb += std::string(1, c) + ": &" + c + " [*" + static_cast<char>(c - 1) + ", *" +
                static_cast<char>(c - 1) + "]\n";
    CHECK(load_text(bomb).policies.empty());
}

TEST_CASE("nesting is limited to 32 levels and costs one fault") {
    const auto nested = [](int levels) {
        return faults(load_text("x: " + std::string(static_cast<std::size_t>(levels), '[') +
                                std::string(static_cast<std::size_t>(levels), ']') + "\n"));
    };
    CHECK_THAT(nested(31), !Contains("nested"));
    CHECK_THAT(nested(32), Contains("nested deeper than 32 levels"));
    CHECK_THAT(nested(400), Contains("nested deeper than 32 levels"));
    CHECK(load_text("x: " + std::string(1'000'000, '[')).policies.empty()); // no crash
    CHECK(load_text(std::string(1'000'000, '{')).policies.empty());
}

TEST_CASE("types are not guessed") {
    CHECK_THAT(faults_of("  mode: true"), Contains("found a truth value"));
    CHECK_THAT(faults_of("  mode:"), Contains("found nothing"));
    CHECK_THAT(faults_of("  mode: ~"), Contains("found nothing"));
    CHECK_THAT(faults_of("  mode: [enforce]"), Contains("found a list"));
    CHECK_THAT(faults_of("  mode: 0x1f"), Contains("found a number"));
    CHECK_THAT(faults_of("  mode: 1e3"), Contains("found a number"));
    CHECK_THAT(faults_of("  allow: {domains: [a.b]}"), Contains("expected a list, found a mapping"));
    CHECK_THAT(faults_of("  allow: [a.b]"), Contains("expected a mapping, found text"));
    CHECK_THAT(faults_of("  inbound: no"), Contains("unknown value \"no\"; expected deny or allow"));
    CHECK(faults_of("  mode: \"audit\"") == "");
}

TEST_CASE("a key given twice is a fault at its second place") {
    CHECK_THAT(faults_of("  mode: audit\n  mode: enforce"),
               Contains("6:3 spec: field \"mode\" is given twice"));
}

TEST_CASE("unknown fields are named, near misses with a suggestion") {
    CHECK_THAT(faults_of("  alow: []"),
               Contains("5:3 spec: unknown field \"alow\"; did you mean \"allow\"?"));
    CHECK_THAT(faults_of("  dns: {minTtl: 30s}"), Contains("did you mean \"minTTL\"?"));
    CHECK_THAT(faults_of("  dns: {min_ttl: 30s}"), Contains("did you mean \"minTTL\"?"));
    CHECK_THAT(faults_of("  ? [a]\n  : b"), Contains("expected a field name, found a list"));
    CHECK_THAT(faults_of("  colour: red"), Contains("unknown field \"colour\"; expected select, mode, dns, "
                                                    "allow, deny, limits, inbound, loopback or flows"));
}

TEST_CASE("octets that yaml-cpp would misread are refused before it sees them") {
    CHECK_THAT(faults(load_text(document("  mode: audit") + "\x04\nrest: dropped\n")),
               Contains("8:1") || Contains("7:1"));
    CHECK_THAT(faults_of("  mode: au\x01"
                         "dit"),
               Contains("5:11 : not YAML: a control character"));
    CHECK_THAT(faults_of("  mode: a\xc3("), Contains("5:10 : not YAML"));
    CHECK_THAT(faults_of("  mode: \xed\xa0\x80"), Contains("not YAML")); // a surrogate
    CHECK_THAT(faults_of("  mode: \xc0\xaf"), Contains("not YAML"));     // overlong
    CHECK_THAT(faults(load_text(std::string("a\0b", 3))), Contains("1:2 "));
}

TEST_CASE("places are right behind CRLF line ends and a byte order mark") {
    std::string text = document("  mode: wrong"), crlf;
    for (const char c : text)
        crlf += c == '\n' ? "\r\n" : std::string(1, c);
    CHECK(faults(load_text(crlf)) == faults(load_text(text)));
    CHECK(faults(load_text("\xef\xbb\xbf" + text)) == faults(load_text(text)));
}

TEST_CASE("text in a diagnostic cannot drive a terminal") {
    const auto out = faults_of("  mode: \"\\e[31m\\n\"");
    CHECK(out.find('\x1b') == std::string::npos);
    CHECK_THAT(out, Contains("\\x1b[31m\\x0a"));
}

TEST_CASE("a fault at the end of the text has its place in the text") {
    for (const auto *text : {"a: \"\\xV", "a: \"\\U1", "a: \"\\"}) {
        INFO(text);
        const auto loaded = load_text(text);
        REQUIRE(loaded.diagnostics.size() == 1);
        CHECK(loaded.diagnostics[0].line == 1);
        CHECK(loaded.diagnostics[0].column <= static_cast<int>(std::string(text).size()) + 1);
    }
}

TEST_CASE("a backslash that escapes nothing is one clear line") {
    for (const auto *text : {"\"c \\", "a: \"\\\xc3\xa9\""})
        CHECK_THAT(faults(load_text(text)),
                   Contains("\\ in quoted text without a character that it can escape"));
}
