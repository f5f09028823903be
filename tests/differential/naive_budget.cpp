// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/naive_budget.h"

#include <algorithm>

namespace penstock::differential {

using policy::Quota;
using policy::Rate;

namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000, ns_per_ms = 1'000'000;

std::uint64_t up(Wide value, Wide divisor) {
    return static_cast<std::uint64_t>((value + divisor - 1) / divisor);
}

} // namespace

Wide naive_burst(const Rate &rate, bool starts_with_a_period, std::uint64_t least) {
    if (starts_with_a_period)
        return rate.burst ? rate.burst : rate.amount;
    const Wide in_100_ms = Wide{rate.amount} * (ns_per_s / 10) / rate.per_ns;
    return std::max<Wide>(rate.burst ? Wide{rate.burst} : in_100_ms, least);
}

// ---- a rate ----

Wide NaiveBucket::burst() const {
    return naive_burst(*rate_, starts_with_a_period_, least_burst_);
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
        const auto last = window(now).used; // of the present window; what is over is over
        start_.reset();
        used_ = {{0, last}};
        granted_.clear();
        told_.clear();
        was_changed_ = false;
    }
    if (!start_) {
        start_ = now - now % ns_per_ms; // windows begin at whole milliseconds
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

NaiveBudget::NaiveBudget() {
    const NaiveBucket octets(false, 144 * 1024), packets(false, 64), count(true, 1);
    buckets = {octets, octets, packets, count, count};
}

} // namespace penstock::differential
