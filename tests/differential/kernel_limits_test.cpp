// SPDX-License-Identifier: Apache-2.0
// The kernel's verdict, reason and rule, and what it charges, against explain() and the naive limits: random policies with
// limits, random packets and questions, and budgets that are set up before each. The kernel's clock can't be set: the naive
// one judges at a time before the run and at one after it, and where it makes a difference nothing is asked.
#include "tests/differential/kernel_budgets.h"
#include "tests/differential/limit_cases.h"
#include "tests/differential/worker.h"

#include <catch2/catch.hpp>

#include <ctime>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <sstream>
#include <stdexcept>

using namespace penstock;
using namespace penstock::differential;
using policy::Image;

namespace {

constexpr std::size_t wanted_cases = 60'000, cases_of_a_world = 150;
constexpr std::uint64_t ns_per_s = 1'000'000'000;

std::uint64_t time_of(clockid_t which) {
    timespec now{};
    clock_gettime(which, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * ns_per_s + static_cast<std::uint64_t>(now.tv_nsec);
}
Clock clock_now() {
    return {time_of(CLOCK_MONOTONIC), time_of(CLOCK_BOOTTIME)};
}

struct Tally {
    std::size_t cases = 0, unsure = 0;
    std::map<int, std::size_t> reasons;       // of limits, by what came
    std::map<std::string, std::size_t> kinds; // of cases that were charged
};

class LimitComparison {
  public:
    LimitComparison(std::uint64_t seed, const Surroundings &surroundings)
        : generator_(seed), gate_(surroundings.cgroup_id, surroundings.ifindex), budgets_(gate_),
          cases_(generator_) {}

    void run() {
        while (tally.cases < wanted_cases) {
            world_ = generator_.world();
            generator_.limit(world_);
            std::vector<const policy::Policy *> selected;
            for (const auto &policy : world_.policies)
                selected.push_back(&policy);
            image_ = policy::compile(selected, world_.environment);
            gate_.write(id, image_);
            budgets_.write(id, image_);
            gate_.bind(id);
            for (std::size_t i = 0; i < cases_of_a_world; ++i)
                compare(cases_.next(world_, image_));
            budgets_.erase(id, image_);
            gate_.erase(id, image_);
        }
    }

    Tally tally;

  private:
    static constexpr KernelGate::PolicyId id = abi::PS_POLICY_FIRST;

    void prepare(NaiveLimits &naive, std::uint64_t rule, const LimitCase &made, const Clock &now) {
        const auto place = image_.limits.find(rule);
        if (place != image_.limits.end())
            budgets_.set(rule,
                         cases_.prepare(naive.of(name_of(image_, rule)), place->second, made.attempt, now));
    }

    void compare(const LimitCase &made) {
        ++tally.cases;
        const auto rule = made.verdict.verdict == abi::PS_ALLOW ? made.verdict.rule : 0;
        NaiveLimits before;
        const Clock prepared = clock_now();
        before.enforce(world_.policies, prepared.monotonic_ns);
        prepare(before, 0, made, prepared);
        if (rule)
            prepare(before, rule, made, prepared);
        const Clock first = clock_now();
        auto reasons = made.charged ? before.outcomes(first, made.attempt) : std::vector<int>{0};
        const auto ran = run(made, reasons.front());
        const auto late = made.charged ? before.outcomes(ran.last, made.attempt) : std::vector<int>{0};
        if (reasons.size() > 1 || reasons != late) {
            ++tally.unsure;
            return;
        }
        if (!ran.as_expected)
            fail(made, reasons.front(), ran.text);
        auto early = before, after = before;
        if (made.charged) {
            ++tally.reasons[reasons.front()];
            ++tally.kinds[made.kind()];
            early.settle(first, made.attempt, reasons.front());
            after.settle(ran.last, made.attempt, reasons.front());
        }
        compare_budget(made, 0, early, first, after, ran.last);
        if (rule)
            compare_budget(made, rule, early, first, after, ran.last);
    }

    struct Ran {
        Clock last;
        bool as_expected;
        std::string text;
    };

    // The verdict is what explain says, unless a limit's reason stands against it.
    Ran run(const LimitCase &made, int reason) {
        auto verdict = made.verdict.verdict;
        const auto told = reason ? static_cast<abi::ps_reason>(reason) : made.verdict.reason;
        if (reason)
            verdict = image_.settings.mode == abi::PS_MODE_AUDIT ? abi::PS_WOULD_DENY : abi::PS_DENY;
        const auto direction = made.attempt.direction;
        const auto before = gate_.counted(made.verdict.rule, direction, verdict, told);
        const bool passed =
            direction == abi::PS_EGRESS ? gate_.egress(made.frame, made.packets) : gate_.ingress(made.frame);
        Ran ran{clock_now(), passed == (verdict != abi::PS_DENY), {}};
        const auto counted = gate_.counted(made.verdict.rule, direction, verdict, told) - before;
        ran.as_expected &= counted == made.packets;
        ran.text = std::string(passed ? "passed" : "dropped") + ", counted as expected " +
                   std::to_string(counted) + " packets";
        return ran;
    }

    void compare_budget(const LimitCase &made, std::uint64_t rule, NaiveLimits &early, const Clock &first,
                        NaiveLimits &late, const Clock &last) {
        if (!image_.limits.contains(rule))
            return;
        const auto kernel = budgets_.get(rule);
        const auto name = name_of(image_, rule);
        for (std::size_t kind = 0; kind < abi::PS_RATES; ++kind) {
            const auto least = first.monotonic_ns +
                               early.of(name).buckets[kind].least_debt_ns(first.monotonic_ns),
                       most = last.monotonic_ns + late.of(name).buckets[kind].most_debt_ns(last.monotonic_ns),
                       full = std::max<std::uint64_t>(kernel.full_ns[kind], last.monotonic_ns);
            if (full < std::max(least, last.monotonic_ns) || full > most)
                fail(made, 0,
                     "rate " + std::to_string(kind) + " of \"" + name + "\" is full at " +
                         std::to_string(full) + ", not between " + std::to_string(least) + " and " +
                         std::to_string(most));
        }
        if (kernel.window[PS_SPENT_CHOICE(kernel.spent)] == 0)
            return;
        const auto window = late.of(name).quota.window(last.boot_ns);
        if (window.number != early.of(name).quota.window(first.boot_ns).number)
            return;
        const auto of_now = [&](std::uint64_t word) {
            const bool is_of_now =
                PS_SPENT_WINDOW(word) == PS_SPENT_TAG(PS_SPENT_CHOICE(kernel.spent), window.number);
            return is_of_now ? PS_SPENT_OCTETS(word) : 0;
        };
        if (of_now(kernel.spent) != window.used || of_now(kernel.told) != window.told)
            fail(made, 0,
                 "quota of \"" + name + "\" has " + std::to_string(of_now(kernel.spent)) + " spent and " +
                     std::to_string(of_now(kernel.told)) + " % told, not " + std::to_string(window.used) +
                     " and " + std::to_string(window.told));
    }

    [[noreturn]] void fail(const LimitCase &made, int reason, const std::string &what) const {
        std::ostringstream out;
        out << describe(world_) << made.text << "\nof rule \"" << made.attempt.rule << "\", "
            << made.attempt.octets << " octets in " << made.attempt.packets << " packets, " << made.kind()
            << "\nexplain: " << describe(answer_of(image_, made.verdict)) << ", limits: " << reason
            << "\nkernel: " << what;
        throw std::runtime_error(out.str());
    }

    Generator generator_;
    KernelGate gate_;
    KernelBudgets budgets_;
    LimitCases cases_;
    World world_;
    Image image_;
};

void compare_all(std::uint64_t seed, const Surroundings &surroundings) {
    LimitComparison comparison(seed, surroundings);
    comparison.run();
    auto &tally = comparison.tally;
    std::cout << tally.cases << " cases, " << tally.unsure << " unsure\n";
    for (const auto &[reason, count] : tally.reasons)
        std::cout << "outcome " << reason << ": " << count << '\n';
    for (const auto &[kind, count] : tally.kinds)
        std::cout << kind << ": " << count << '\n';
    for (const int reason :
         {0, int{abi::PS_R_EGRESS_RATE}, int{abi::PS_R_INGRESS_RATE}, int{abi::PS_R_PACKET_RATE},
          int{abi::PS_R_CONNECTION_RATE}, int{abi::PS_R_QUERY_RATE}, int{abi::PS_R_QUOTA}})
        if (tally.reasons[reason] < 200)
            throw std::runtime_error("outcome " + std::to_string(reason) + " was hardly reached");
    for (const char *kind : {"question", "in", "buffer", "opens", "out"})
        if (tally.kinds[kind] < 1000)
            throw std::runtime_error(std::string("hardly a case of: ") + kind);
    if (tally.unsure * 50 > tally.cases)
        throw std::runtime_error("too often the time of the run decided");
}

} // namespace

TEST_CASE("the kernel charges as the naive limits say") {
    const auto seed = run_seed();
    std::cout << "PENSTOCK_SEED=" << seed << '\n';
    const auto report =
        run_in_cgroup("penstock-differential-limits-" + std::to_string(getpid()),
                      [&](const Surroundings &surroundings) { compare_all(seed, surroundings); });
    INFO("PENSTOCK_SEED=" << seed);
    INFO(report);
    REQUIRE(report.empty());
}
