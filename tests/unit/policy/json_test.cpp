// SPDX-License-Identifier: Apache-2.0
// JSON: strict syntax, the same schema and the same places.
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;
using Catch::Contains;

namespace {

Loaded load_json(const std::string &spec, const std::string &after = "") {
    return load_text(
        "{\"apiVersion\": \"penstock/v1\", \"kind\": \"EgressPolicy\",\n \"metadata\": {\"name\": \"p\"},\n"
        " \"spec\": {\"select\": [{\"cgroup\": \"/x\"}]" +
            spec + "}}" + after,
        Format::json);
}

} // namespace

TEST_CASE("a JSON policy is read like a YAML one") {
    const auto loaded =
        load_json(", \"mode\": \"audit\", \"dns\": {\"private\": \"deny\"}, \"allow\": [\n"
                  "{\"domains\": [\"b\\u00fccher.example\", \"*.a\\/b\"], \"ports\": [\"tcp/443\"]}]");
    INFO(faults(loaded));
    REQUIRE(loaded.diagnostics.size() == 1); // the second domain has a slash: escapes are decoded
    CHECK(loaded.diagnostics[0].line == 4);
    CHECK(loaded.diagnostics[0].column == 37);
    CHECK(loaded.diagnostics[0].path == "spec.allow[0].domains[1]");
    const auto right =
        load_json(", \"allow\": [{\"name\": \"n\", \"domains\": [\"b\\u00fccher.example\"]}]", "\n\n");
    REQUIRE(right.policies.size() == 1);
    CHECK(right.policies[0].allow[0].domains[0].name == "xn--bcher-kva.example");
}

TEST_CASE("escapes of JSON strings, surrogate pairs too") {
    const auto loaded = load_text(
        "{\"apiVersion\": \"penstock/v1\", \"kind\": \"EgressPolicy\", \"metadata\": {\"name\": \"p\"},"
        "\"spec\": {\"select\": [{\"labels\": {\"a\\\"b\\u20ac\": \"\\ud83d\\ude00\\\\\"}}]}}",
        Format::json);
    REQUIRE(loaded.policies.size() == 1);
    CHECK(loaded.policies[0].select[0].labels == std::map<std::string, std::string>{{"a\"b€", "😀\\"}});
}

TEST_CASE("what YAML would forgive is refused in JSON, with its place") {
    const char *cases[] = {"",
                           " ",
                           "{",
                           "{\"a\": 1,}",
                           "{a: 1}",
                           "{'a': 1}",
                           "{\"a\": 1} x",
                           "{\"a\": 1}{}",
                           "# c\n{}",
                           "{\"a\": .5}",
                           "{\"a\": 01}",
                           "{\"a\": \"\t\"}",
                           "{\"a\": nul}",
                           "[1 2]",
                           "{\"a\" 1}",
                           "{\"a\": \"\\ud800\"}",
                           "{\"a\": \"\xff\"}",
                           "// c\n{}",
                           "{\"a\": NaN}",
                           "\xef\xbb\xbf{}"};
    for (const char *text : cases) {
        INFO(text);
        const auto loaded = load_text(text, Format::json);
        REQUIRE(loaded.diagnostics.size() == 1);
        CHECK_THAT(loaded.diagnostics[0].message, Contains("not JSON"));
        CHECK(loaded.diagnostics[0].line >= 1);
    }
    const auto loaded = load_text("{\n  \"a\": [1,\n  2,,3]}", Format::json);
    CHECK(loaded.diagnostics.at(0).line == 3);
    CHECK(loaded.diagnostics.at(0).column == 5);
}

TEST_CASE("JSON types, duplicates and unknown fields are faults") {
    CHECK(faults(load_json(",\n\"mode\": 1")) ==
          "4:9 spec.mode: expected text such as \"enforce\", found a number\n");
    CHECK(faults(load_json(",\n\"mode\": null")) ==
          "4:9 spec.mode: expected text such as \"enforce\", found nothing\n");
    CHECK(faults(load_json(",\n\"mode\": false")) ==
          "4:9 spec.mode: expected text such as \"enforce\", found a truth value\n");
    CHECK(faults(load_json(",\n\"mode\": \"audit\",\"mode\": \"audit\"")) ==
          "4:17 spec: field \"mode\" is given twice\n");
    CHECK(faults(load_json(",\n\"mod\": \"audit\"")) ==
          "4:1 spec: unknown field \"mod\"; did you mean \"mode\"?\n");
    CHECK_THAT(faults(load_json(",\n\"allow\": [{}, [], {\"domains\": []}]")),
               Contains("4:11 spec.allow[0]: the rule") &&
                   Contains("4:15 spec.allow[1]: expected a mapping") &&
                   Contains("4:19 spec.allow[2]: the rule"));
}

TEST_CASE("JSON nesting is limited") {
    CHECK_THAT(faults(load_text(std::string(33, '[') + std::string(33, ']'), Format::json)),
               Contains("nested deeper"));
    CHECK_THAT(faults(load_text(std::string(1'000'000, '['), Format::json)), Contains("nested deeper"));
}
