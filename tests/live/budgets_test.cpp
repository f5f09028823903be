// SPDX-License-Identifier: Apache-2.0
// Budgets that go on with what was spent before: made whole, and never touched when the programs count in them already.
#include "tests/catch_result.h"
#include "tests/live/own_cgroup.h"

#include "userspace/sync/budgets.h"
#include "userspace/sync/rows.h"

#include <catch2/catch.hpp>

using namespace penstock;
using test::OwnCgroup;

namespace {

constexpr std::uint64_t second = 1'000'000'000, day = 86400 * second;

struct World {
    World() : gate(kernel::Gate::open(own.options())) { REQUIRE(gate); }
    OwnCgroup own;
    Result<kernel::Gate> gate;
    kernel::Maps &maps() { return gate->maps(); }
};

} // namespace

TEST_CASE("a budget that is not there is made and goes on with the window") {
    World world;
    sync::Budgets budgets(*world.gate);
    CHECK_FALSE(budgets.find(5, 7).value());
    CHECK(budgets.begun().empty());
    const kernel::QuotaWindow before{1000, 50, 80, day, 10 * second};
    REQUIRE(budgets.resume(5, 7, before).value());
    const auto made = budgets.find(5, 7).value();
    REQUIRE(made);
    CHECK(made->value.slot == 5);
    CHECK(made->value.rule == 7);
    CHECK(made->value.spent == PS_SPENT(0, 1000));
    CHECK(made->value.granted == PS_SPENT(0, 50));
    CHECK(made->value.told == PS_SPENT(0, 80));
    CHECK(made->value.window_ns == day);
    CHECK(made->value.window_start_ns == 10 * second);
    REQUIRE(budgets.begun().size() == 1);
    CHECK(budgets.begun()[0].index == made->index);

    REQUIRE(budgets.resume(5, 0, before).value());
    CHECK(budgets.find(5, 0).value()->index != made->index);
    CHECK(world.maps().gate.read().next_budget == 2);
}

TEST_CASE(
    "a budget that the programs made for rates alone goes on, one they count a quota in is left alone") {
    World world;
    sync::Budgets budgets(*world.gate);
    auto &maps = world.maps();
    REQUIRE(maps.gate.take_budget() == 0U);
    maps.budgets.dedicate(0, 5, 7);
    REQUIRE(maps.budget_ids.update({7, 5, 0}, 0));
    REQUIRE(budgets.resume(5, 7, {1000, 0, 0, day, 10 * second}).value());
    CHECK(budgets.find(5, 7).value()->value.spent == PS_SPENT(0, 1000));

    CHECK_FALSE(budgets.resume(5, 7, {9999, 9, 0, 2 * day, 20 * second}).value());
    const auto same = budgets.find(5, 7).value()->value;
    CHECK(same.spent == PS_SPENT(0, 1000));
    CHECK(same.granted == 0);
    CHECK(same.window_ns == day);
    CHECK(same.window_start_ns == 10 * second);
}

TEST_CASE("a window that began before the boot is in its first window until it turns") {
    World world;
    sync::Budgets budgets(*world.gate);
    const std::uint64_t now = 30 * second, left = 3600 * second;
    REQUIRE(budgets.resume(5, 7, {1000, 0, 0, day, now + left - day}).value());
    const auto value = budgets.find(5, 7).value()->value;
    CHECK(kernel::BudgetTable::window(value, now) == 0U);
    CHECK(kernel::BudgetTable::window(value, now + left - 1) == 0U);
    CHECK(kernel::BudgetTable::window(value, now + left) == 1U);
    // Its beginning falls on the one word that says "not yet": a nanosecond beside it.
    REQUIRE(budgets.resume(6, 7, {1000, 0, 0, day, 0}).value());
    CHECK(budgets.find(6, 7).value()->value.window_start_ns == 1);
}

TEST_CASE("budgets that were given back are taken first, and when all are taken that is said") {
    World world;
    sync::Budgets budgets(*world.gate);
    auto &maps = world.maps();
    for (std::uint32_t index = 0; index < abi::PS_BUDGETS; index++)
        REQUIRE(maps.gate.take_budget() == index);
    const kernel::QuotaWindow before{1000, 0, 0, day, second};
    const auto full = budgets.resume(5, 7, before);
    REQUIRE_FALSE(full);
    CHECK(full.error().code == ENOSPC);
    CHECK_FALSE(budgets.find(5, 7).value());
    REQUIRE(maps.free_budgets.push(42));
    REQUIRE(budgets.resume(5, 7, before).value());
    CHECK(budgets.find(5, 7).value()->index == 42);
}
