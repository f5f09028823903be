// SPDX-License-Identifier: Apache-2.0
// Ten mistakes in one file are ten diagnostics, each at its place.
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;
using namespace penstock::policy::test;

TEST_CASE("a file with ten mistakes gives ten diagnostics, each at its line and column") {
    const auto loaded =
        load({Source{"ten.yaml", read_file(PENSTOCK_FIXTURES "/ten-mistakes.yaml"), Format::yaml}});
    struct Expected {
        int line, column;
        const char *path, *in_message;
    };
    const std::vector<Expected> expected = {
        {4, 9, "metadata.name", "\"ten mistakes\" is no name"},
        {7, 7, "spec.select[0]", "would select every container"},
        {8, 9, "spec.mode", "unknown value \"enforced\"; expected enforce or audit"},
        {10, 27, "spec.dns.resolvers[1]", "\"10.0.0.300\" is no address"},
        {14, 36, "spec.allow[0].domains[1]", "* stands only alone"},
        {15, 7, "spec.allow[0]", "unknown field \"prots\"; did you mean \"ports\"?"},
        {18, 11, "spec.allow[1].cidrs[0]", "the network is 10.1.0.0/16"},
        {19, 15, "spec.allow[1].ports[0]", "the range is reversed; expected 80-90"},
        {20, 24, "spec.allow[1].limits.egress", "unknown unit \"MiBs\"; did you mean \"MiB\"?"},
        {22, 14, "spec.deny[0].name", "the name \"llm\" is taken by spec.allow[0]"},
    };
    REQUIRE(expected.size() == 10);
    INFO(faults(loaded));
    REQUIRE(loaded.diagnostics.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto &d = loaded.diagnostics[i];
        CHECK(d.line == expected[i].line);
        CHECK(d.column == expected[i].column);
        CHECK(d.path == expected[i].path);
        CHECK_THAT(d.message, Catch::Contains(expected[i].in_message));
        CHECK(d.text().rfind(
                  "ten.yaml:" + std::to_string(d.line) + ":" + std::to_string(d.column) + ": error: ", 0) ==
              0);
    }
    REQUIRE(loaded.policies.size() == 1); // the right document is given, the caller sees that the load failed
    CHECK(loaded.policies[0].name == "right");
    CHECK(has_errors(loaded.diagnostics));
}
