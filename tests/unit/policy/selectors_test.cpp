// SPDX-License-Identifier: Apache-2.0
// What may stand in spec.select.
#include "tests/unit/policy/front_helpers.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;
using Catch::Contains;

TEST_CASE("every field of a selector reaches the model") {
    const auto p =
        policy_of("  select:\n"
                  "  - {cgroup: \"/a/*/b?\", runtime: docker, name: web-*, image: \"r.example/x:*\",\n"
                  "     namespace: shop, pod: p-*, unit: u@*.service, labels: {role: agent, empty: \"\"}}\n"
                  "  - {cgroup: /**}");
    REQUIRE(p.select.size() == 2);
    const auto &s = p.select[0];
    CHECK(s.cgroup == "/a/*/b?");
    CHECK(s.runtime == "docker");
    CHECK(s.name == "web-*");
    CHECK(s.image == "r.example/x:*");
    CHECK(s.ns == "shop");
    CHECK(s.pod == "p-*");
    CHECK(s.unit == "u@*.service");
    CHECK(s.labels == std::map<std::string, std::string>{{"role", "agent"}, {"empty", ""}});
    CHECK(p.select[1].cgroup == "/**");
    CHECK_FALSE(p.select[1].runtime.has_value());
}

TEST_CASE("select is required, not empty, and no entry is empty") {
    CHECK_THAT(
        faults(load_text(
            "apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: p}\nspec: {mode: audit}\n")),
        Contains("4:7 spec: select names no container"));
    CHECK_THAT(faults_of("  select: []"), Contains("5:11 spec.select: select names no container"));
    CHECK_THAT(faults_of("  select: [{}]"),
               Contains("5:12 spec.select[0]: an empty entry") && Contains("cgroup: /**"));
    CHECK_THAT(faults_of("  select: [{labels: {}}]"), Contains("an empty entry"));
    // A field that could not be read does not make the entry empty: one fault.
    CHECK(load_text(document("  select: [{cgrup: /a}]")).diagnostics.size() == 1);
    CHECK(load_text(document("  select: [{cgroup: 1}]")).diagnostics.size() == 1);
    CHECK(load_text(document("  select: {cgroup: /a}")).diagnostics.size() == 1);
}

TEST_CASE("cgroup globs are absolute paths") {
    for (const char *good : {"/a", "/a/b.slice/c", "/**", "/a/**", "/**/x", "/a/**/b", "/a/*", "/a-?/b*c",
                             "/system.slice/a\\x2db.service"}) {
        INFO(good);
        CHECK(faults_of(std::string("  select: [{cgroup: '") + good + "'}]") == "");
    }
    for (const char *bad :
         {"a", "", "/", "//a", "/a/", "/a//b", "/a/../b", "/./a", "/a**", "/**a/b", "/[ab]", "/{a,b}"}) {
        INFO(bad);
        CHECK_THAT(faults_of(std::string("  select: [{cgroup: '") + bad + "'}]"),
                   Contains("5:21 spec.select[0].cgroup: "));
    }
}

TEST_CASE("other globs have no ** and no classes, and are not empty") {
    for (const char *field : {"runtime", "name", "image", "namespace", "pod", "unit"})
        for (const char *bad : {"''", "'**'", "'[a]'", "'a{b}'", "\"a\\nb\""}) {
            INFO(field << " " << bad);
            CHECK_THAT(faults_of(std::string("  select: [{") + field + ": " + bad + "}]"),
                       Contains(std::string("spec.select[0].") + field + ": "));
        }
    CHECK_THAT(faults_of("  select: [{labels: {a: 1}}]"),
               Contains("5:25 spec.select[0].labels.a: expected text"));
    CHECK_THAT(faults_of("  select: [{labels: {a: x, a: y}}]"),
               Contains("5:28 spec.select[0].labels: key \"a\" is given twice"));
}

TEST_CASE("a label's name is shown on one line, whatever is in it") {
    const auto text = faults_of("  select: [{labels: {\"a\\e[2J\\nb\": x**}}]");
    CHECK(std::count(text.begin(), text.end(), '\n') == 2); // two faults, a line each
    CHECK(text.find('\x1b') == text.npos);
    CHECK_THAT(text, Contains("spec.select[0].labels.\"a\\x1b[2J\\x0ab\": "));
}
