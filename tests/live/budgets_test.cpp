// SPDX-License-Identifier: Apache-2.0
// Budgets that go on with what was spent before: made whole, and never touched when the programs count in them already.
#include "tests/catch_result.h"
#include "tests/live/budgets_memory.h"

#include "userspace/sync/budgets.h"
#include "userspace/sync/idle_budgets.h"
#include "userspace/sync/rows.h"

#include <catch2/catch.hpp>

using namespace penstock;
using test::OwnCgroup;

namespace {

constexpr std::uint64_t second = 1'000'000'000, day = 86400 * second;

using Resumed = sync::Budgets::Resumed;

struct World {
    World() : gate(kernel::Gate::open(own.options())), memory(test::budgets_of(own)) { REQUIRE(gate); }
    OwnCgroup own;
    Result<kernel::Gate> gate;
    kernel::MappedArray memory;
    kernel::Maps &maps() { return gate->maps(); }
    abi::ps_budget &budget(std::uint32_t index) {
        return static_cast<abi::ps_budget *>(memory.data())[index];
    }
};

} // namespace

TEST_CASE("a budget that is not there is made and goes on with the window") {
    World world;
    sync::Budgets budgets(*world.gate);
    CHECK_FALSE(budgets.find(5, 7).value());
    CHECK(budgets.begun().empty());
    const kernel::QuotaWindow before{1000, 50, 80, day, 10 * second};
    REQUIRE(budgets.resume(5, 7, before, 20 * second).value() == Resumed::begun);
    const auto made = budgets.find(5, 7).value();
    REQUIRE(made);
    CHECK(made->value.slot == 5);
    CHECK(made->value.rule == 7);
    CHECK(made->value.spent == PS_SPENT(0, 1000));
    CHECK(made->value.granted == PS_SPENT(0, 50));
    CHECK(made->value.told == PS_SPENT(0, 80));
    CHECK(made->value.window[0] == PS_WINDOW(86400, 10'000));
    CHECK(made->value.is_kept == 1);
    REQUIRE(budgets.begun().size() == 1);
    CHECK(budgets.begun()[0].index == made->index);

    REQUIRE(budgets.resume(5, 0, before, 20 * second).value() == Resumed::begun);
    CHECK(budgets.find(5, 0).value()->index != made->index);
    CHECK(world.maps().gate.read().next_budget == 2);
}

TEST_CASE("a budget that the programs made for rates alone goes on, and once only") {
    World world;
    sync::Budgets budgets(*world.gate);
    auto &maps = world.maps();
    REQUIRE(maps.gate.take_budget() == 0U);
    maps.budgets.dedicate(0, 5, 7);
    REQUIRE(maps.budget_ids.update({7, 5, 0}, 0));
    REQUIRE(budgets.resume(5, 7, {1000, 0, 0, day, 10 * second}, 20 * second).value() == Resumed::begun);
    CHECK(budgets.find(5, 7).value()->value.spent == PS_SPENT(0, 1000));

    CHECK(budgets.resume(5, 7, {9999, 9, 0, 2 * day, 20 * second}, 30 * second).value() == Resumed::was_kept);
    const auto same = budgets.find(5, 7).value()->value;
    CHECK(same.spent == PS_SPENT(0, 1000));
    CHECK(same.granted == 0);
    CHECK(same.window[0] == PS_WINDOW(86400, 10'000));
}

TEST_CASE("what a container sent before its past was known is counted with it, and its window turns as it "
          "would have") {
    const auto [sent_length_s, start_ms] = GENERATE(table<std::uint64_t, std::uint64_t>({
        {86400, 10'000}, // as stored
        {3600, 50'000},  // the policy has another length by now: that one's window, with all octets
    }));
    World world;
    sync::Budgets budgets(*world.gate);
    REQUIRE(world.maps().gate.take_budget() == 0U);
    REQUIRE(world.maps().budget_ids.update({7, 5, 0}, 0));
    auto &there = world.budget(0);
    there.rule = 7;
    there.slot = 5;
    there.window[0] = PS_WINDOW(sent_length_s, 50'000);
    there.spent = PS_SPENT(0, 300);
    REQUIRE(budgets.resume(5, 7, {1000, 50, 80, day, 10 * second}, 60 * second).value() == Resumed::late);
    const auto value = budgets.find(5, 7).value()->value;
    CHECK(value.spent == PS_SPENT(0, 1300));
    CHECK(value.granted == PS_SPENT(0, 50));
    CHECK(value.window[0] == PS_WINDOW(sent_length_s, start_ms));
    CHECK(budgets.resume(5, 7, {1000, 50, 80, day, 10 * second}, 61 * second).value() == Resumed::was_kept);
    CHECK(budgets.find(5, 7).value()->value.spent == PS_SPENT(0, 1300));
}

TEST_CASE("a window that began before the boot is in its first window until it turns") {
    World world;
    sync::Budgets budgets(*world.gate);
    const std::uint64_t now = 30 * second, left = 3600 * second;
    REQUIRE(budgets.resume(5, 7, {1000, 0, 0, day, now + left - day}, now).value() == Resumed::begun);
    const auto value = budgets.find(5, 7).value()->value;
    CHECK(kernel::BudgetTable::window(value, now)->octets(value.spent) == 1000);
    CHECK(kernel::BudgetTable::window(value, now)->turns_ns == now + left);
    CHECK(kernel::BudgetTable::window(value, now + left - 1)->octets(value.spent) == 1000);
    CHECK(kernel::BudgetTable::window(value, now + left)->octets(value.spent) == 0);
}

TEST_CASE("budgets that were given back are taken first, and when all are taken that is said") {
    World world;
    sync::Budgets budgets(*world.gate);
    auto &maps = world.maps();
    for (std::uint32_t index = 0; index < abi::PS_BUDGETS; index++)
        REQUIRE(maps.gate.take_budget() == index);
    const kernel::QuotaWindow before{1000, 0, 0, day, second};
    const auto full = budgets.resume(5, 7, before, 2 * second);
    REQUIRE_FALSE(full);
    CHECK(full.error().code == ENOSPC);
    CHECK_FALSE(budgets.find(5, 7).value());
    REQUIRE(maps.free_budgets.push(42));
    REQUIRE(budgets.resume(5, 7, before, 2 * second).value() == Resumed::begun);
    CHECK(budgets.find(5, 7).value()->index == 42);
}

TEST_CASE("budgets of rules that nothing limits any more are given back, when a new one would say the same") {
    World world;
    sync::IdleBudgets idle(*world.gate);
    auto &maps = world.maps();
    sync::Rows rows(*world.gate);
    const auto child = world.own.make_child("c");
    const auto row = rows.make(cgroup_id(child).value(), world.own.level(child), 0, 1234).value();
    const auto image = std::make_shared<policy::Image>();
    image->limits[1] = {};
    enum : std::uint64_t { limited = 1, over, counting, filling, granted, others };
    for (std::uint64_t rule = limited; rule <= others; rule++) {
        const auto index = maps.gate.take_budget().value();
        REQUIRE(maps.budget_ids.update({rule, row.slot, 0}, index));
        auto &budget = world.budget(index);
        budget.rule = rule;
        budget.slot = row.slot;
        budget.window[0] = PS_WINDOW(3600, 1'000);
        budget.spent = PS_SPENT(0, rule == counting ? 100 : 0);
        budget.granted = PS_SPENT(0, rule == granted ? 100 : 0);
        budget.full_ns[abi::PS_RATE_QUERIES] = rule == filling ? 51 * second : 50 * second;
    }
    world.budget(5).slot = row.slot + 1; // `others`: of a container that is not among the holders
    const auto has = [&](std::uint64_t rule) {
        return maps.budget_ids.lookup({rule, row.slot, 0}).value().has_value();
    };
    const sync::IdleBudgets::Holder holder{row.slot, row.serial, row.binding, 49 * second, image};
    auto round = [&](sync::IdleBudgets::Holder by, std::uint64_t now) {
        return idle.round({by}, now, 100 * second).value();
    };
    SECTION("not while a program of an earlier binding may run, nor of another slot, tenant or binding") {
        auto other = holder;
        const int what = GENERATE(0, 1, 2, 3);
        if (what == 0)
            other.bound_ns = 50 * second;
        else
            (what == 1 ? other.slot : other.serial) += what != 3;
        other.binding += what == 3;
        CHECK(round(other, 50 * second + second / 2) == 0);
        CHECK(round(other, 50 * second + second / 2) == 0);
        for (std::uint64_t rule = limited; rule <= others; rule++)
            CHECK(has(rule));
    }
    SECTION("first their rows go, and after a grace they are free") {
        CHECK(round(holder, 50 * second) == 0);
        for (const auto rule : {limited, counting, filling, granted, others})
            CHECK(has(rule));
        CHECK_FALSE(has(over));
        CHECK(world.budget(1).slot == 0);
        CHECK(round(holder, 51 * second - 1) == 0);
        CHECK_FALSE(maps.free_budgets.pop().value());
        world.budget(1).full_ns[0] = 77; // a program was late
        CHECK(round(holder, 51 * second) == 1);
        CHECK(maps.free_budgets.pop().value() == 1U);
        CHECK(world.budget(1).full_ns[0] == 0);
        CHECK_FALSE(has(filling)); // it is full now
        for (const auto rule : {limited, counting, granted, others})
            CHECK(has(rule));
    }
    SECTION("when the window is over, what was spent and granted in it says nothing") {
        CHECK(idle.round({holder}, 60 * second, 3601 * second).value() == 0);
        CHECK(idle.round({holder}, 61 * second, 3602 * second).value() == 4);
        CHECK((has(limited) && has(others)));
        CHECK_FALSE((has(over) || has(counting) || has(filling) || has(granted)));
    }
}
