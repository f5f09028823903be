// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/pressure.h"

#include <catch2/catch.hpp>

using namespace penstock::telemetry;

TEST_CASE("a map that fills is told of once at each mark, and again after it was well below") {
    Pressure pressure;
    const auto told = [&](std::uint64_t used, std::uint64_t capacity = 1000) {
        const auto events = pressure.look({{"learned", used, capacity}, {"queries", 0, 10}}, {});
        REQUIRE(events.size() <= 1);
        if (events.empty())
            return 0;
        CHECK(events[0].kind == event_pressure);
        CHECK(events[0].name == "learned");
        return static_cast<int>(events[0].length);
    };
    CHECK(told(799) == 0);
    CHECK(told(800) == 80);
    CHECK(told(949) == 0);
    CHECK(told(700) == 0);
    CHECK(told(800) == 0); // it only wavered
    CHECK(told(950) == 95);
    CHECK(told(1000) == 0);
    CHECK(told(699) == 0);
    CHECK(told(1000) == 100); // both marks at once are one event
    CHECK(told(0, 0) == 0);
}
