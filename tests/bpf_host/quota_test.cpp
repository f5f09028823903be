// SPDX-License-Identifier: Apache-2.0
// Quotas as the programs count them (bpf/lib/quota.h), by several threads at once: what they let pass is what is counted, to
// the octet, and never more than a window's quota; also while windows begin, turn and change their length.
#define PS_HOST 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast" // the headers are C
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-value"
#include "abi.h"
#include "lib/quota.h"
#pragma GCC diagnostic pop

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <thread>
#include <vector>

namespace {

constexpr std::uint64_t second = 1'000'000'000, hour = 3600, day = 86400; // ns; s, s
std::atomic<std::uint64_t> clock_ns;

// How far the time that quota__spend is told is off. Far: never in the window that there is, so that it asks the clock.
constexpr std::uint64_t far = 1000 * day * second;
std::uint64_t off_ns = far;

struct Off { // until the end of its scope
    explicit Off(std::uint64_t ns) { off_ns = ns; }
    ~Off() { off_ns = far; }
    Off(const Off &) = delete;
    Off &operator=(const Off &) = delete;
};

constexpr std::uint64_t late(std::uint64_t ns) {
    return std::uint64_t{0} - ns;
}

std::uint64_t spend_about_now(struct ps_budget &budget, const struct ps_limits &limits,
                              std::uint64_t octets) {
    return quota__spend(&budget, &limits, octets, clock_ns + off_ns);
}

// What another CPU does when this one has looked at a word or the clock for the n-th time: between what it read and its swap.
struct Meanwhile {
    int looks_left = -1;
    std::function<void()> act;
};
thread_local Meanwhile meanwhile;

struct ps_limits limits_of(std::uint64_t quota, std::uint64_t window_s) {
    struct ps_limits limits {};
    limits.quota_bytes = quota;
    limits.window_ns = window_s * second;
    limits.quota_directions = 3;
    return limits;
}

// Octets that passed, by the tag of the window they were counted in.
using Passed = std::map<std::uint16_t, std::uint64_t>;

void spend(struct ps_budget &budget, const struct ps_limits &limits, std::uint64_t octets, Passed &passed) {
    const std::uint64_t said = spend_about_now(budget, limits, octets);
    if (!(said & QUOTA_SPENT))
        passed[static_cast<std::uint16_t>(said >> QUOTA_TAG_SHIFT)] += octets;
}

bool holds(struct ps_budget &budget, const struct ps_limits &limits, std::uint64_t octets) {
    return !(spend_about_now(budget, limits, octets) & QUOTA_SPENT);
}

std::uint64_t sum(const std::vector<Passed> &all) {
    std::uint64_t octets = 0;
    for (const auto &passed : all)
        for (const auto &[tag, count] : passed)
            octets += count;
    return octets;
}

// Both threads run `work(thread)`, from the same moment on.
template <class Work> void two_threads(const Work &work) {
    std::atomic<int> ready = 0;
    std::vector<std::thread> threads;
    threads.reserve(2);
    for (int thread = 0; thread < 2; thread++)
        threads.emplace_back([&, thread] {
            for (ready++; ready < 2;)
                std::this_thread::yield();
            work(thread);
        });
    for (auto &thread : threads)
        thread.join();
}

} // namespace

__u64 quota__looked(__u64 of_word) {
    if (meanwhile.looks_left >= 0 && meanwhile.looks_left-- == 0)
        meanwhile.act();
    return of_word;
}

__u64 bpf_ktime_get_boot_ns() {
    return quota__looked(clock_ns);
}

TEST_CASE("whatever another CPU spends between a look at the budget and its change, in windows of the same "
          "or another length") {
    constexpr std::uint64_t quota = 1000;
    const auto before = GENERATE(std::uint64_t{0}, hour, day); // length of the windows there are; 0: none
    const auto ours = GENERATE(hour, day), theirs = GENERATE(hour, day);
    const auto at = GENERATE(range(0, 25));
    const bool turns = GENERATE(false, true); // the windows of `before` are over when the other CPU comes
    const Off off(GENERATE(far, std::uint64_t{0}));
    const auto limits = limits_of(quota, ours), other_limits = limits_of(quota, theirs);
    INFO("before " << before << ", ours " << ours << ", theirs " << theirs << ", look " << at);
    clock_ns = 100 * second;
    struct ps_budget budget {};
    std::uint64_t passed = 0, old = 0;
    if (before != 0)
        REQUIRE(holds(budget, limits_of(quota, before), old = 300));
    meanwhile = {at, [&] {
                     if (turns)
                         clock_ns += before * second;
                     passed += holds(budget, other_limits, 200) ? 200 : 0;
                 }};
    passed += holds(budget, limits, 100) ? 100 : 0;
    const bool came = meanwhile.looks_left < 0;
    meanwhile.looks_left = -1;
    CHECK(passed == (came ? 300 : 100));
    const auto tag = quota__tag(&budget, budget.spent);
    CHECK(quota__used(budget.spent, tag) <= passed + old);
    if (!turns || before == 0 || !came)
        CHECK(quota__used(budget.spent, tag) == passed + old);
    else
        CHECK(quota__used(budget.spent, tag) >=
              200); // of the new window, whoever's; ours may be of the one before
}

TEST_CASE("a quota's octets pass, and not one more, while two CPUs have it in windows of two lengths") {
    clock_ns = 100 * second;
    constexpr std::uint64_t quota = 20'000'000;
    const struct ps_limits lengths[] = {limits_of(quota, 86400), limits_of(quota, 3600)};
    struct ps_budget budget {};
    std::vector<Passed> passed(2);
    two_threads([&](int thread) {
        for (int i = 0; i < 400'000; i++)
            spend(budget, lengths[(i + thread) / 3 % 2], 100, passed[static_cast<std::size_t>(thread)]);
    });
    CHECK(sum(passed) <= quota);
    CHECK(sum(passed) == PS_SPENT_OCTETS(budget.spent));
    while (holds(budget, lengths[0], 100))
        passed[0][0] += 100;
    CHECK(sum(passed) == quota);
}

TEST_CASE("the first octets of two CPUs are both counted") {
    clock_ns = 100 * second;
    const auto limits = limits_of(1'000'000, 3600);
    for (int round = 0; round < 500; round++) {
        struct ps_budget budget {};
        std::vector<Passed> passed(2);
        two_threads([&](int thread) {
            for (int i = 0; i < 20; i++)
                spend(budget, limits, 100, passed[static_cast<std::size_t>(thread)]);
        });
        REQUIRE(sum(passed) == PS_SPENT_OCTETS(budget.spent));
        REQUIRE(PS_WINDOW_START_MS(budget.window[0]) == 100'000);
    }
}

TEST_CASE("while windows turn, none holds more than the quota") {
    const Off off(GENERATE(far, std::uint64_t{0}, late(second / 4)));
    clock_ns = 100 * second;
    constexpr std::uint64_t quota = 30'000;
    const auto limits = limits_of(quota, 1);
    struct ps_budget budget {};
    std::vector<Passed> passed(2);
    two_threads([&](int thread) {
        for (int i = 0; i < 400'000; i++) {
            spend(budget, limits, 100, passed[static_cast<std::size_t>(thread)]);
            if (thread == 0 && i % 20 == 0)
                clock_ns += second / 16;
        }
    });
    std::uint64_t full = 0;
    for (const auto &[tag, octets] : passed[0]) {
        const auto other = passed[1].find(tag);
        const std::uint64_t both = octets + (other == passed[1].end() ? 0 : other->second);
        REQUIRE(both <= quota);
        full += both == quota;
    }
    CHECK(full > 10);
}

TEST_CASE("another length of window begins it anew, with what is spent of the present one and of no older") {
    clock_ns = 100 * second;
    const auto of_day = limits_of(1000, day), of_hour = limits_of(1000, hour);
    struct ps_budget budget {};
    REQUIRE(holds(budget, of_day, 600));
    clock_ns += 50'000 * second;
    CHECK_FALSE(holds(budget, of_hour, 401));
    REQUIRE(holds(budget, of_hour, 400));
    CHECK(quota__holds_none(&budget, &of_hour));
    clock_ns += 3599 * second;
    CHECK_FALSE(holds(budget, of_hour, 1));
    clock_ns += second;
    CHECK(holds(budget, of_hour, 700));
    clock_ns += 7200 * second; // its window is over
    CHECK(holds(budget, of_day, 1000));
    CHECK_FALSE(holds(budget, of_day, 1));
}

TEST_CASE("a time that is late counts in the window that there is, turns none back, and refuses nobody") {
    clock_ns = 100 * second;
    const auto limits = limits_of(1000, 10);
    struct ps_budget budget {};
    REQUIRE(holds(budget, limits, 600));
    clock_ns += 12 * second;
    {
        const Off off(late(5 * second)); // to it the window is not over
        CHECK(holds(budget, limits, 300));
        CHECK(budget.spent == PS_SPENT(PS_SPENT_TAG(0, 0), 900));
        CHECK(spend_about_now(budget, limits, 101) >> QUOTA_TAG_SHIFT == PS_SPENT_TAG(0, 1));
        CHECK(budget.spent == PS_SPENT(PS_SPENT_TAG(0, 1), 101));
        CHECK(holds(budget, limits, 899));
        CHECK_FALSE(holds(budget, limits, 1));
    }
    CHECK_FALSE(holds(budget, limits, 1));
}

TEST_CASE("what is given back is of its own window") {
    clock_ns = 100 * second;
    const auto limits = limits_of(1000, 10);
    struct ps_budget budget {};
    const auto tag = static_cast<std::uint16_t>(spend_about_now(budget, limits, 700) >> QUOTA_TAG_SHIFT);
    quota__unspend(&budget, 700, tag);
    REQUIRE(holds(budget, limits, 900));
    clock_ns += 10 * second;
    REQUIRE(holds(budget, limits, 800));
    quota__unspend(&budget, 700, tag);
    CHECK_FALSE(holds(budget, limits, 201));
    CHECK(holds(budget, limits, 200));
}

TEST_CASE("a window that began before the boot is number 0 until it turns, and a clock that is behind "
          "changes nothing") {
    const auto limits = limits_of(1000, 3600);
    struct ps_budget budget {};
    budget.window[0] = PS_WINDOW(3600, -1'000'000);
    budget.spent = PS_SPENT(0, 600);
    clock_ns = 30 * second;
    CHECK_FALSE(holds(budget, limits, 401));
    clock_ns = 2600 * second - 1;
    CHECK_FALSE(holds(budget, limits, 401));
    clock_ns = 2600 * second;
    CHECK(holds(budget, limits, 1000));

    struct ps_budget ahead {};
    ahead.window[0] = PS_WINDOW(3600, 5'000'000); // another CPU's clock
    clock_ns = 4999 * second;
    CHECK(holds(ahead, limits, 1000));
    clock_ns = 5001 * second;
    CHECK_FALSE(holds(ahead, limits, 1));
}

TEST_CASE("each mark is told once a window, and what was granted is for one window") {
    clock_ns = 100 * second;
    const auto limits = limits_of(1000, 10);
    struct ps_budget budget {};
    CHECK((spend_about_now(budget, limits, 799) & QUOTA_MARK) == 0);
    CHECK((spend_about_now(budget, limits, 1) & QUOTA_MARK) == 80);
    CHECK((spend_about_now(budget, limits, 1) & QUOTA_MARK) == 0);
    CHECK((spend_about_now(budget, limits, 300) & QUOTA_MARK) == 100);
    CHECK((spend_about_now(budget, limits, 300) & QUOTA_MARK) == 0);
    budget.granted = PS_SPENT(PS_SPENT_TAG(0, 0), 500);
    CHECK(holds(budget, limits, 699));
    clock_ns += 10 * second;
    CHECK((spend_about_now(budget, limits, 1500) & QUOTA_MARK) == 100);
}
