// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/activity.h"

#include <catch2/catch.hpp>

using penstock::telemetry::Activity;

namespace {

constexpr std::uint64_t second = 1'000'000'000;

void round(Activity &activity, std::uint64_t now_s, std::uint32_t slot, std::uint32_t serial,
           std::uint64_t born_s, std::uint64_t counted) {
    activity.begin(now_s * second);
    activity.look(slot, serial, born_s * second, counted);
    activity.end();
}

} // namespace

TEST_CASE("who was there before us is idle for as long as we look, until it does something") {
    Activity activity;
    CHECK_FALSE(activity.of(7, 1));
    round(activity, 100, 7, 1, 5, 1000);
    REQUIRE(activity.of(7, 1));
    CHECK_FALSE(activity.of(7, 1)->last_ns);
    CHECK(activity.of(7, 1)->since_ns == 100 * second);
    round(activity, 110, 7, 1, 5, 1000);
    CHECK_FALSE(activity.of(7, 1)->last_ns);
    round(activity, 120, 7, 1, 5, 1001);
    CHECK(activity.of(7, 1)->last_ns == 120 * second);
    CHECK(activity.of(7, 1)->as_of_ns == 120 * second);
    round(activity, 130, 7, 1, 5, 1001);
    CHECK(activity.of(7, 1)->last_ns == 120 * second);
    CHECK(activity.of(7, 1)->as_of_ns == 130 * second); // what it does later is not known
}

TEST_CASE("who was born since is active by its first packet, and idle from its birth without one") {
    Activity activity;
    activity.begin(100 * second);
    activity.end();
    round(activity, 110, 7, 1, 105, 3);
    CHECK(activity.of(7, 1)->last_ns == 110 * second);
    round(activity, 120, 8, 2, 115, 0);
    CHECK_FALSE(activity.of(8, 2)->last_ns);
    CHECK(activity.of(8, 2)->since_ns == 115 * second);
    CHECK_FALSE(activity.of(7, 1)); // not looked at any more
}

TEST_CASE("a slot's next tenant inherits nothing") {
    Activity activity;
    round(activity, 100, 7, 1, 5, 1000);
    round(activity, 110, 7, 1, 5, 1001);
    CHECK_FALSE(activity.of(7, 2));
    round(activity, 120, 7, 2, 115, 0);
    CHECK_FALSE(activity.of(7, 1));
    CHECK_FALSE(activity.of(7, 2)->last_ns);
}
