// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/quota_state.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::daemon;

namespace {

constexpr std::uint64_t second = 1'000'000'000;

abi::ps_limits limits() {
    abi::ps_limits limits{};
    limits.quota_bytes = 1'000'000;
    limits.window_ns = 100 * second;
    limits.quota_directions = 1;
    return limits;
}

abi::ps_budget budget(std::uint64_t window, std::uint64_t octets) {
    abi::ps_budget budget{};
    budget.window[0] = PS_WINDOW(100, 1'000'000);
    budget.spent = PS_SPENT(window, octets);
    return budget;
}

} // namespace

TEST_CASE("a quota of which nothing is spent has no window, and turns at no time") {
    const auto state = quota_state(limits(), nullptr, 5 * second, 0);
    CHECK(state.spent == 0);
    CHECK(state.left() == 1'000'000);
    CHECK_FALSE(state.turns_boot_ns);
    CHECK_FALSE(state.turns_wall_ns);
    CHECK_FALSE(state.is_spent);
    const abi::ps_budget rates_only{};
    CHECK_FALSE(quota_state(limits(), &rates_only, 5 * second, 0).turns_boot_ns);
}

TEST_CASE("what is spent is of the present window, and when it turns is told by both clocks") {
    auto spent = budget(2, 300'000);
    spent.granted = PS_SPENT(2, 200'000);
    const auto state = quota_state(limits(), &spent, 1250 * second, 5000 * std::int64_t(second));
    CHECK(state.spent == 300'000);
    CHECK(state.allowance() == 1'200'000);
    CHECK(state.left() == 900'000);
    CHECK(state.per_cent() == 25);
    CHECK(state.turns_boot_ns == 1300 * second);
    CHECK(state.turns_wall_ns == 5050 * std::int64_t(second));
    CHECK(directions_name(state.directions) == "egress");

    const auto later = quota_state(limits(), &spent, 1300 * second, 0);
    CHECK(later.spent == 0);
    CHECK(later.granted == 0);
    CHECK(later.turns_boot_ns == 1400 * second);
}

TEST_CASE("a window that began before the boot turns when it would have") {
    auto resumed = budget(0, 300'000);
    resumed.window[0] = PS_WINDOW(100, 30'000 - 60'000); // 60 of its 100 s were over 30 s after the boot
    const auto state = quota_state(limits(), &resumed, 31 * second, 0);
    CHECK(state.spent == 300'000);
    CHECK(state.turns_boot_ns == 70 * second);
    CHECK(quota_state(limits(), &resumed, 70 * second, 0).spent == 0);
}

TEST_CASE("a quota is spent when no packet fits, or when one was refused and less than a full one is left") {
    const auto [octets, told, is_spent] = GENERATE(table<std::uint64_t, std::uint64_t, bool>({
        {1'000'000, 0, true},
        {999'961, 0, true},
        {999'960, 80, false}, // a least packet of 40 octets
        {999'000, 80, false},
        {999'000, 100, true},
        {990'000, 100, false}, // what was refused was a large buffer
        {2'000'000, 100, true},
    }));
    auto spent = budget(1, octets);
    spent.told = PS_SPENT(1, told);
    const auto state = quota_state(limits(), &spent, 1150 * second, 0);
    CHECK(state.is_spent == is_spent);
    CHECK(state.per_cent() <= 100);
}

TEST_CASE("with another length of window what was spent goes into one that is yet to begin") {
    auto spent = budget(1, 400'000);
    spent.window[0] = PS_WINDOW(50, 1'000'000);
    const auto state = quota_state(limits(), &spent, 1075 * second, 0);
    CHECK(state.spent == 400'000);
    CHECK_FALSE(state.turns_boot_ns);
    CHECK(quota_state(limits(), &spent, 1100 * second, 0).spent == 0); // not of a window that is over
    spent.window[1] = PS_WINDOW(100, 1'070'000);
    spent.spent = PS_SPENT(PS_SPENT_TAG(1, 0), 400'000);
    CHECK(quota_state(limits(), &spent, 1075 * second, 0).turns_boot_ns == 1170 * second);
}

TEST_CASE("a quota allows no more than a budget can count to, as in the kernel") {
    auto most = limits();
    most.quota_bytes = PS_SPENT_OCTETS(~0ULL);
    auto spent = budget(1, most.quota_bytes);
    spent.granted = PS_SPENT(1, 5'000);
    const auto state = quota_state(most, &spent, 1150 * second, 0);
    CHECK(state.allowance() == most.quota_bytes);
    CHECK(state.left() == 0);
    CHECK(state.is_spent);
    CHECK(state.per_cent() == 100);
}
