// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/totals.h"

#include <catch2/catch.hpp>

using namespace penstock;
using telemetry::Totals;

TEST_CASE("totals come back from their text as they were") {
    Totals totals;
    const Totals::RuleName name{"agents", "allow llm x"};
    totals.add({7, 0, 1, 2}, {3, 300}, &name);
    totals.add({7, 0, 1, 2}, {1, 50}, &name);
    totals.add({0, 1, 2, 20}, {UINT64_MAX - 1, 1}, nullptr);
    totals.fold({5, 77});
    totals.fold({6, 78});
    totals.settled({6, 78});
    const auto again = Totals::parse(totals.text());
    REQUIRE(again.has_value());
    CHECK(again->sums().at({7, 0, 1, 2}).packets == 4);
    CHECK(again->sums().at({7, 0, 1, 2}).bytes == 350);
    CHECK(again->sums().at({0, 1, 2, 20}).packets == UINT64_MAX - 1);
    CHECK(again->is_pending({5, 77}));
    CHECK_FALSE(again->is_pending({5, 78}));
    CHECK_FALSE(again->is_pending({6, 78}));
    REQUIRE(again->name(7));
    CHECK(again->name(7)->rule == "allow llm x");
    CHECK(again->name(8) == nullptr);
    CHECK(again->text() == totals.text());
}

TEST_CASE("a file of totals that is cut short or wrong is refused") {
    Totals totals;
    totals.add({7, 0, 1, 2}, {3, 300}, nullptr);
    const auto text = totals.text();
    for (std::size_t length = 0; length + 1 < text.size(); ++length) {
        INFO(text.substr(0, length));
        CHECK_FALSE(Totals::parse(text.substr(0, length)).has_value());
    }
    CHECK_FALSE(Totals::parse("penstock totals 2\nend\n").has_value());
    CHECK_FALSE(Totals::parse("penstock totals 1\nsum 1 2 x\nend\n").has_value());
}
