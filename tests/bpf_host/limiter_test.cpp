// SPDX-License-Identifier: Apache-2.0
// The limiter, as the kernel runs it, against the naive one: the same random limits, attempts and clock, step by step; what
// comes of each, what is told, and what every budget then holds.
#include "tests/bpf_host/kernel_host.h"
#include "tests/bpf_host/limiter_host.h"
#include "tests/differential/generate.h"
#include "tests/differential/naive_limits.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>

namespace penstock::bpf_host {
namespace {

using namespace penstock::differential;

constexpr std::size_t wanted_steps = 400'000, steps_of_a_world = 400;
constexpr std::uint32_t first_slot = abi::PS_SLOT_FIRST;
constexpr std::uint64_t most_jump_ns = 1ULL << 43;
// `spent` tells windows apart by 15 bits of their number, and one step passes 13,200 windows of a second at the most.
constexpr std::uint64_t most_windows = 19'000;

class Comparison {
  public:
    explicit Comparison(std::uint64_t seed) : generator_(seed) {}

    void run() {
        while (steps_ < wanted_steps) {
            begin_world();
            for (std::size_t i = 0; i < steps_of_a_world && !is_over_; ++i)
                step();
        }
    }

    std::map<int, std::size_t> outcomes;
    std::map<unsigned, std::size_t> marks;
    std::size_t unsure = 0;
    std::size_t steps() const { return steps_; }

  private:
    // Two containers under one policy: neither spends the other's.
    struct Container {
        std::uint32_t slot;
        NaiveLimits naive;
    };

    void begin_world() {
        Kernel::get().forget();
        is_over_ = false;
        policy_ = abi::PS_POLICY_FIRST;
        places_ = 0;
        clock_.monotonic_ns = 1 + generator_.below(1ULL << 40);
        clock_.boot_ns = clock_.monotonic_ns + generator_.below(1ULL << 40);
        world_ = generator_.world();
        rules_ = {""};
        for (const auto &policy : world_.policies)
            for (const auto &rule : policy.allow)
                rules_.push_back(policy.name + "/" + rule.name);
        containers_ = {{first_slot, {}}, {first_slot + 1, {}}};
        change_limits();
    }

    // Under a new id, as a policy in force is never changed.
    void change_limits() {
        generator_.limit(world_);
        std::vector<const policy::Policy *> selected;
        for (const auto &policy : world_.policies)
            selected.push_back(&policy);
        const auto image = policy::compile(selected, world_.environment);
        ++policy_;
        for (const auto &[rule, limits] : image.limits)
            limiter_host__limit(policy_, rule, places_++, &limits);
        for (auto &container : containers_)
            container.naive.enforce(world_.policies, clock_.monotonic_ns);
    }

    static std::uint64_t id_of(const std::string &rule) {
        const auto slash = rule.find('/');
        return rule.empty() ? 0 : policy::rule_id(rule.substr(0, slash), rule.substr(slash + 1));
    }

    void step() {
        ++steps_;
        if (generator_.chance(2))
            change_limits();
        auto &container = containers_[generator_.below(containers_.size())];
        if (generator_.chance(2))
            grant(container);
        auto attempt = an_attempt();
        pass_time(container, attempt);
        size_to_edge(container, attempt);
        compare(container, attempt);
        if (is_over_)
            return;
        for (auto &each : containers_)
            for (const auto &rule : rules_)
                compare_budget(each, rule);
    }

    Attempt an_attempt() {
        Attempt attempt;
        attempt.rule = rules_[generator_.below(rules_.size())];
        attempt.direction = generator_.chance(50) ? abi::PS_EGRESS : abi::PS_INGRESS;
        attempt.opens = generator_.chance(30);
        if (!attempt.opens || generator_.chance(50)) { // no packets: connect()
            attempt.packets = generator_.chance(70) ? 1 : 1 + generator_.below(1000);
            attempt.octets = 20 + generator_.below(attempt.packets * 1000);
        }
        if (generator_.chance(15)) {
            attempt = {attempt.rule, abi::PS_EGRESS, 0, 0, false, true};
        }
        return attempt;
    }

    // None, a little, much; or just what would let the attempt pass, and one less or more.
    void pass_time(const Container &container, const Attempt &attempt) {
        std::uint64_t ns = 0;
        const auto wait = container.naive.wait(clock_, attempt);
        if (wait && wait < most_jump_ns && generator_.chance(60))
            ns = wait - 1 + generator_.below(3);
        else if (generator_.chance(50))
            ns = generator_.below(std::uint64_t{1} << generator_.below(38));
        clock_.monotonic_ns += ns;
        clock_.boot_ns += ns;
        if (generator_.chance(1)) // sleeps
            clock_.boot_ns += generator_.below(std::uint64_t{1} << 42);
        Kernel::get().monotonic_ns = clock_.monotonic_ns;
        Kernel::get().boot_ns = clock_.boot_ns;
    }

    // As many octets as a quota has left, and one less or more.
    void size_to_edge(Container &container, Attempt &attempt) {
        const auto &quota = container.naive.of(generator_.chance(50) ? attempt.rule : "").quota;
        if (!attempt.packets || !quota.charges(attempt.direction) || !generator_.chance(30))
            return;
        const auto left = quota.left(clock_.boot_ns) + generator_.below(3);
        if (left > 41 && left < 1 << 20)
            attempt.octets = left - 1;
    }

    void compare(Container &container, const Attempt &attempt) {
        const auto could = container.naive.outcomes(clock_, attempt);
        Kernel::get().events.clear();
        const int came = charge(container.slot, attempt);
        if (std::find(could.begin(), could.end(), came) == could.end())
            fail(container, attempt, "came " + std::to_string(came) + ", expected " + list(could));
        ++outcomes[came];
        is_over_ = could.size() > 1; // which limit refused, and so what is told, is not known: another world
        unsure += is_over_;
        if (is_over_)
            return;
        const auto told = container.naive.settle(clock_, attempt, came),
                   by_kernel = told_by_kernel(container.slot);
        if (told != by_kernel)
            fail(container, attempt, "told" + list(told) + ", by the kernel" + list(by_kernel));
        for (const auto &each : told)
            ++marks[each.per_cent];
    }

    // As verdict.h and query.h do.
    int charge(std::uint32_t slot, const Attempt &attempt) const {
        const auto container = limiter__find(slot, policy_, 0),
                   by_rule = attempt.rule.empty() ? 0 : limiter__find(slot, policy_, id_of(attempt.rule));
        if (attempt.asks)
            return static_cast<int>(limiter__one_of_both(container, by_rule, abi::PS_RATE_QUERIES));
        return static_cast<int>(
            limiter__charge(container, by_rule, attempt.direction | (attempt.opens ? LIMITER_HOST_OPENS : 0U),
                            static_cast<__u32>(attempt.octets), static_cast<__u32>(attempt.packets)));
    }

    std::vector<Told> told_by_kernel(std::uint32_t slot) const {
        std::vector<Told> told;
        for (const auto &event : Kernel::get().events) {
            const auto rule = std::find_if(rules_.begin(), rules_.end(),
                                           [&](const auto &each) { return id_of(each) == event.rule; });
            if (event.slot != slot || rule == rules_.end() || event.kind != abi::PS_EVENT_QUOTA)
                throw std::runtime_error("an event of somebody else");
            told.push_back({*rule, event.length});
        }
        return told;
    }

    static bool has_begun(const abi::ps_budget &budget) {
        return budget.window[PS_SPENT_CHOICE(budget.spent)] != 0;
    }
    static std::uint16_t tag_of(const abi::ps_budget &budget, const NaiveQuota::Window &window) {
        return PS_SPENT_TAG(PS_SPENT_CHOICE(budget.spent), window.number);
    }

    // As the daemon does (userspace/kernel/budgets.cpp).
    void grant(Container &container) {
        const auto &rule = rules_[generator_.below(rules_.size())];
        auto &quota = container.naive.of(rule).quota;
        auto *budget = limiter_host__budget(container.slot, id_of(rule));
        if (!budget || !has_begun(*budget) || quota.will_begin_anew())
            return;
        const auto window = quota.window(clock_.boot_ns);
        quota.grant(clock_.boot_ns, 1000);
        budget->granted = PS_SPENT(tag_of(*budget, window), window.granted + 1000);
        budget->told = 0;
    }

    void compare_budget(Container &container, const std::string &rule) {
        const auto *budget = limiter_host__budget(container.slot, id_of(rule));
        if (!budget)
            return;
        auto &naive = container.naive.of(rule);
        const auto now = clock_.monotonic_ns;
        for (std::size_t kind = 0; kind < abi::PS_RATES; ++kind) {
            const auto debt = budget->full_ns[kind] > now ? budget->full_ns[kind] - now : 0;
            const auto &bucket = naive.buckets[kind];
            if (debt < bucket.least_debt_ns(now) || debt > bucket.most_debt_ns(now))
                fail(container, {rule},
                     "bucket " + std::to_string(kind) + " is full in " + std::to_string(debt) +
                         " ns, not in " + std::to_string(bucket.least_debt_ns(now)) + " to " +
                         std::to_string(bucket.most_debt_ns(now)));
        }
        if (!has_begun(*budget) || naive.quota.will_begin_anew())
            return;
        const auto window = naive.quota.window(clock_.boot_ns);
        is_over_ |= window.number > most_windows;
        const bool is_of_now = PS_SPENT_WINDOW(budget->spent) == tag_of(*budget, window);
        const auto used = is_of_now ? PS_SPENT_OCTETS(budget->spent) : 0;
        if (used != window.used)
            fail(container, {rule},
                 "spent " + std::to_string(used) + " octets, not " + std::to_string(window.used) +
                     " in window " + std::to_string(window.number));
    }

    static std::string list(const std::vector<int> &reasons) {
        std::string text;
        for (const int reason : reasons)
            text += std::to_string(reason) + " ";
        return text;
    }

    static std::string list(const std::vector<Told> &told) {
        std::string text;
        for (const auto &each : told)
            text += " " + std::to_string(each.per_cent) + " % of \"" + each.rule + "\"";
        return text.empty() ? " nothing" : text;
    }

    [[noreturn]] void fail(const Container &container, const Attempt &attempt,
                           const std::string &what) const {
        std::ostringstream out;
        out << "step " << steps_ << ", slot " << container.slot << ", rule \"" << attempt.rule << "\" "
            << (attempt.direction == abi::PS_EGRESS ? "out " : "in ") << attempt.octets << " octets "
            << attempt.packets << " packets" << (attempt.opens ? " opens" : "")
            << (attempt.asks ? " asks" : "") << ": " << what << '\n'
            << describe(world_);
        throw std::runtime_error(out.str());
    }

    Generator generator_;
    World world_;
    Clock clock_;
    std::vector<std::string> rules_;
    std::vector<Container> containers_;
    std::uint16_t policy_ = 0;
    std::uint32_t places_ = 0;
    std::size_t steps_ = 0;
    bool is_over_ = false;
};

} // namespace

TEST_CASE("the limiter spends as the naive one does, at any time") {
    const auto seed = run_seed();
    std::cout << "PENSTOCK_SEED=" << seed << '\n';
    INFO("PENSTOCK_SEED=" << seed);
    Comparison comparison(seed);
    comparison.run();
    for (const auto &[reason, count] : comparison.outcomes)
        std::cout << "outcome " << reason << ": " << count << '\n';
    std::cout << comparison.unsure << " of " << comparison.steps() << " unsure\n";
    for (const int reason : {0, int{PS_R_EGRESS_RATE}, int{PS_R_INGRESS_RATE}, int{PS_R_PACKET_RATE},
                             int{PS_R_CONNECTION_RATE}, int{PS_R_QUERY_RATE}, int{PS_R_QUOTA}}) {
        INFO("outcome " << reason);
        CHECK(comparison.outcomes[reason] > 2000);
    }
    CHECK(comparison.marks[80] > 300);
    CHECK(comparison.marks[100] > 300);
    CHECK(comparison.unsure * 100 < comparison.steps());
}

} // namespace penstock::bpf_host
