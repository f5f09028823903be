// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/naive_limits.h"

#include <algorithm>
#include <utility>

namespace penstock::differential {

using policy::Policy;
using policy::Quota;
using policy::Rate;

namespace {

// ---- which of several policies' limits is the strictest: brings less in the same time, then the smaller burst ----

bool stricter(const Rate &a, const Rate &b) {
    const Wide mine = Wide{a.amount} * b.per_ns, other = Wide{b.amount} * a.per_ns;
    return mine < other;
}
bool equal(const Rate &a, const Rate &b) {
    return !stricter(a, b) && !stricter(b, a);
}

template <class Burst> void hold(std::optional<Rate> &held, const std::optional<Rate> &other, Burst burst) {
    if (!other)
        return;
    if (!held || stricter(*other, *held) || (equal(*other, *held) && burst(*other) < burst(*held)))
        held = other;
}

void hold(std::optional<Quota> &held, const std::optional<Quota> &other) {
    if (!other)
        return;
    const auto directions = static_cast<std::uint8_t>((held ? held->directions : 0) | other->directions);
    const Wide mine = held ? Wide{held->bytes} * other->window_s : 0,
               theirs = held ? Wide{other->bytes} * held->window_s : 0;
    if (!held || theirs < mine || (theirs == mine && other->bytes < held->bytes))
        held = other;
    held->directions = directions;
}

} // namespace

void NaiveLimits::enforce(const std::vector<Policy> &policies, std::uint64_t now) {
    std::map<std::string, policy::Limits> all;
    auto &whole = all[""];
    const auto octets = [](const Rate &rate) { return naive_burst(rate, false, 144 * 1024); };
    const auto packets = [](const Rate &rate) { return naive_burst(rate, false, 64); };
    const auto count = [](const Rate &rate) { return naive_burst(rate, true, 1); };
    for (const auto &policy : policies) {
        hold(whole.egress, policy.limits.egress, octets);
        hold(whole.ingress, policy.limits.ingress, octets);
        hold(whole.packets, policy.limits.packets, packets);
        hold(whole.connections, policy.limits.connections, count);
        hold(whole.queries, policy.limits.queries, count);
        hold(whole.queries, policy.dns.queries, count);
        hold(whole.quota, policy.limits.quota);
        for (const auto &rule : policy.allow)
            all[policy.name + "/" + rule.name] = rule.limits;
    }
    for (const auto &[rule, budget] : budgets_)
        all.try_emplace(rule); // limits that went
    for (const auto &[rule, limits] : all) {
        auto &budget = budgets_[rule];
        budget.buckets[abi::PS_RATE_EGRESS].limit(limits.egress, now);
        budget.buckets[abi::PS_RATE_INGRESS].limit(limits.ingress, now);
        budget.buckets[abi::PS_RATE_PACKETS].limit(limits.packets, now);
        budget.buckets[abi::PS_RATE_CONNECTIONS].limit(limits.connections, now);
        budget.buckets[abi::PS_RATE_QUERIES].limit(limits.queries, now);
        budget.quota.limit(limits.quota);
    }
}

void NaiveLimits::add_gate(std::vector<Gate> &gates, const std::string &rule, int reason, int kind,
                           std::uint64_t units) const {
    const auto place = budgets_.find(rule);
    if (place != budgets_.end() && place->second.buckets.at(static_cast<std::size_t>(kind)).is_limited())
        gates.push_back({rule, reason, kind, units});
}

void NaiveLimits::add_packet_gates(std::vector<Gate> &gates, const std::string &rule,
                                   const Attempt &attempt) const {
    if (attempt.packets == 0)
        return;
    const bool out = attempt.direction == abi::PS_EGRESS;
    add_gate(gates, rule, abi::PS_R_PACKET_RATE, abi::PS_RATE_PACKETS, attempt.packets);
    add_gate(gates, rule, out ? abi::PS_R_EGRESS_RATE : abi::PS_R_INGRESS_RATE,
             out ? abi::PS_RATE_EGRESS : abi::PS_RATE_INGRESS, attempt.octets);
    const auto place = budgets_.find(rule);
    if (place != budgets_.end() && place->second.quota.charges(attempt.direction))
        gates.push_back({rule, abi::PS_R_QUOTA, abi::PS_RATES, attempt.octets});
}

// In the order in which they are asked: it shows in the reason.
std::vector<NaiveLimits::Gate> NaiveLimits::gates(const Attempt &attempt) const {
    std::vector<Gate> gates;
    std::vector<std::string> whose;
    if (!attempt.rule.empty())
        whose.push_back(attempt.rule);
    whose.emplace_back();
    for (const auto &rule : whose)
        if (attempt.asks)
            add_gate(gates, rule, abi::PS_R_QUERY_RATE, abi::PS_RATE_QUERIES, 1);
    for (const auto &rule : whose)
        if (attempt.opens)
            add_gate(gates, rule, abi::PS_R_CONNECTION_RATE, abi::PS_RATE_CONNECTIONS, 1);
    for (const auto &rule : whose)
        if (!attempt.asks || rule.empty())
            add_packet_gates(gates, rule, attempt);
    return gates;
}

Holds NaiveLimits::holds(const Clock &clock, const Gate &gate) const {
    const auto &budget = budgets_.at(gate.rule);
    if (gate.kind != abi::PS_RATES)
        return budget.buckets.at(static_cast<std::size_t>(gate.kind)).holds(clock.monotonic_ns, gate.units);
    return budget.quota.holds(clock.boot_ns, gate.units) ? Holds::yes : Holds::no;
}

std::vector<int> NaiveLimits::outcomes(const Clock &clock, const Attempt &attempt) const {
    std::vector<int> found;
    for (const auto &gate : gates(attempt)) {
        const auto held = holds(clock, gate);
        if (held != Holds::yes)
            found.push_back(gate.reason);
        if (held == Holds::no)
            return found;
    }
    found.push_back(0);
    return found;
}

std::uint64_t NaiveLimits::wait(const Clock &clock, const Attempt &attempt) const {
    for (const auto &gate : gates(attempt)) {
        const auto &budget = budgets_.at(gate.rule);
        if (holds(clock, gate) == Holds::yes)
            continue;
        if (gate.kind == abi::PS_RATES)
            return budget.quota.wait(clock.boot_ns);
        return budget.buckets.at(static_cast<std::size_t>(gate.kind)).wait(clock.monotonic_ns, gate.units);
    }
    return 0;
}

// What the quotas that are asked before the refusal tell: a mark is told when it is passed, also if another limit then
// refuses. Whether they held is known from before anything was spent.
std::vector<Told> NaiveLimits::ask_quotas(const Clock &clock, const std::vector<Gate> &asked, bool all_hold) {
    std::vector<Told> told;
    for (const auto &gate : asked) {
        if (gate.kind != abi::PS_RATES)
            continue;
        auto &quota = budgets_.at(gate.rule).quota;
        const bool refused = !all_hold && &gate == &asked.back();
        quota.ask(clock.boot_ns);
        if (!refused)
            quota.spend(clock.boot_ns, gate.units);
        if (const auto mark = quota.tell(clock.boot_ns, refused))
            told.push_back({gate.rule, mark});
        if (!refused && !all_hold)
            quota.give_back(clock.boot_ns, gate.units);
    }
    return told;
}

std::vector<Told> NaiveLimits::settle(const Clock &clock, const Attempt &attempt, int outcome) {
    auto asked = gates(attempt);
    if (outcome != 0) {
        const auto refused = std::find_if(asked.begin(), asked.end(), [&](const Gate &gate) {
            return gate.reason == outcome && holds(clock, gate) != Holds::yes;
        });
        asked.erase(refused + 1, asked.end());
    } else {
        for (const auto &gate : asked)
            if (gate.kind != abi::PS_RATES)
                budgets_.at(gate.rule)
                    .buckets.at(static_cast<std::size_t>(gate.kind))
                    .take(clock.monotonic_ns, gate.units);
    }
    return ask_quotas(clock, asked, outcome == 0);
}

} // namespace penstock::differential
