// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/naive_limits.h"

#include <algorithm>
#include <utility>

namespace penstock::differential {

using policy::Policy;
using policy::Quota;
using policy::Rate;

namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;

std::uint64_t up(Wide value, Wide divisor) {
    return static_cast<std::uint64_t>((value + divisor - 1) / divisor);
}

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

Wide burst_of(const Rate &rate, bool starts_with_a_period, std::uint64_t least) {
    if (starts_with_a_period)
        return rate.burst ? rate.burst : rate.amount;
    const Wide in_100_ms = Wide{rate.amount} * (ns_per_s / 10) / rate.per_ns;
    return std::max<Wide>(rate.burst ? Wide{rate.burst} : in_100_ms, least);
}

} // namespace

// ---- a rate ----

Wide NaiveBucket::burst() const {
    return burst_of(*rate_, starts_with_a_period_, least_burst_);
}

// What the kernel may ask more for the units than they cost: it counts a unit in 2^-20 ns or, if that does not fit, in some
// 2^-40 of itself, and the sum in whole ns. Nothing if a unit costs whole ns.
Wide NaiveBucket::rounding(Wide units) const {
    return is_exact() ? 0 : amount() + (units * amount() >> 20) + (units * rate_->per_ns >> 40) + 1;
}

NaiveBucket::State NaiveBucket::at(std::uint64_t now) const {
    const Wide back = Wide{now - as_of_} * amount();
    const Wide debt = std::max<Wide>(debt_ - back, 0);
    return {debt, std::max<Wide>(debt_ + slack_ - back, 0) - debt};
}

// The time until all is back stays when the rate changes.
void NaiveBucket::limit(const std::optional<Rate> &rate, std::uint64_t now) {
    const auto before = at(now);
    const Wide from = amount();
    rate_ = rate;
    // In this order, since the product of both amounts and a year is too long.
    const auto converted = [&](Wide time) { return time / from * amount() + time % from * amount() / from; };
    debt_ = converted(before.debt);
    slack_ = converted(before.debt + before.slack) - debt_;
    if (before.debt % from || before.slack % from)
        slack_ += 2 * amount();
    as_of_ = now;
}

Holds NaiveBucket::holds(std::uint64_t now, std::uint64_t units) const {
    const auto [debt, slack] = at(now);
    const Wide after = debt + Wide{units} * rate_->per_ns, most = burst() * rate_->per_ns;
    if (after > most + rounding(burst()))
        return Holds::no;
    return after + slack + rounding(units) > most ? Holds::unsure : Holds::yes;
}

void NaiveBucket::take(std::uint64_t now, std::uint64_t units) {
    const auto [debt, slack] = at(now);
    debt_ = debt + Wide{units} * rate_->per_ns;
    slack_ = slack + rounding(units);
    as_of_ = now;
}

std::uint64_t NaiveBucket::wait(std::uint64_t now, std::uint64_t units) const {
    const Wide over = at(now).debt + (Wide{units} - burst()) * rate_->per_ns;
    return over <= 0 ? 0 : up(over, amount());
}

std::uint64_t NaiveBucket::least_debt_ns(std::uint64_t now) const {
    return static_cast<std::uint64_t>(at(now).debt / amount());
}
std::uint64_t NaiveBucket::most_debt_ns(std::uint64_t now) const {
    const auto [debt, slack] = at(now);
    return up(debt + slack, amount());
}

void NaiveBucket::owe(std::uint64_t now, std::uint64_t ns) {
    debt_ = Wide{ns} * amount();
    slack_ = 0;
    as_of_ = now;
}

// ---- a quota ----

// Another length begins a window anew, when it is next asked for something, with what was spent.
void NaiveQuota::limit(const std::optional<Quota> &quota) {
    quota_ = quota;
    was_changed_ = quota && start_ && length_ns_ != quota->window_s * ns_per_s;
}

bool NaiveQuota::charges(abi::ps_direction direction) const {
    return quota_ && quota_->directions >> direction & 1;
}

void NaiveQuota::ask(std::uint64_t now) {
    if (was_changed_) {
        const auto last = used_.empty() ? 0 : used_.rbegin()->second;
        start_.reset();
        used_ = {{0, last}};
        granted_.clear();
        told_.clear();
        was_changed_ = false;
    }
    if (!start_) {
        start_ = now;
        length_ns_ = quota_->window_s * ns_per_s;
    }
}

NaiveQuota::Window NaiveQuota::window(std::uint64_t now) const {
    const auto of = [](const auto &map, std::uint64_t number) {
        const auto place = map.find(number);
        return place == map.end() ? std::uint64_t{0} : place->second;
    };
    const std::uint64_t number = start_ ? (now - *start_) / length_ns_ : 0;
    return {number, of(used_, number), of(granted_, number), of(told_, number)};
}

std::uint64_t NaiveQuota::left(std::uint64_t now) const {
    auto asked = *this;
    asked.ask(now);
    const auto window = asked.window(now);
    const auto whole = quota_->bytes + window.granted;
    return whole > window.used ? whole - window.used : 0;
}

bool NaiveQuota::holds(std::uint64_t now, std::uint64_t octets) const {
    return octets <= left(now);
}

void NaiveQuota::spend(std::uint64_t now, std::uint64_t octets) {
    used_[window(now).number] += octets;
}

void NaiveQuota::give_back(std::uint64_t now, std::uint64_t octets) {
    used_[window(now).number] -= octets;
}

unsigned NaiveQuota::tell(std::uint64_t now, bool refused) {
    const auto present = window(now);
    const Wide whole = Wide{quota_->bytes} + present.granted;
    const std::uint64_t mark = refused ? 100 : 5 * Wide{present.used} >= 4 * whole ? 80 : 0;
    auto &told = told_[present.number];
    if (mark <= told)
        return 0;
    told = mark;
    return static_cast<unsigned>(mark);
}

void NaiveQuota::grant(std::uint64_t now, std::uint64_t octets) {
    const auto number = window(now).number;
    granted_[number] += octets;
    told_[number] = 0; // the marks are others now
}

void NaiveQuota::resume(std::uint64_t start, const Window &window) {
    start_ = start;
    length_ns_ = quota_->window_s * ns_per_s;
    used_ = {{window.number, window.used}};
    granted_ = {{window.number, window.granted}};
    told_ = {{window.number, window.told}};
}

std::uint64_t NaiveQuota::wait(std::uint64_t now) const {
    return start_ && length_ns_ ? length_ns_ - (now - *start_) % length_ns_ : 0;
}

// ---- a container ----

NaiveBudget::NaiveBudget() {
    const NaiveBucket octets(false, 64 * 1024), packets(false, 64), count(true, 1);
    buckets = {octets, octets, packets, count, count};
}

void NaiveLimits::enforce(const std::vector<Policy> &policies, std::uint64_t now) {
    std::map<std::string, policy::Limits> all;
    auto &whole = all[""];
    const auto octets = [](const Rate &rate) { return burst_of(rate, false, 64 * 1024); };
    const auto packets = [](const Rate &rate) { return burst_of(rate, false, 64); };
    const auto count = [](const Rate &rate) { return burst_of(rate, true, 1); };
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
