// SPDX-License-Identifier: Apache-2.0
// One rate and one quota as they are meant, in exact whole numbers, with the time as an argument. Shares only the model's types
// with policy/bucket and bpf/lib/limiter.h.
#pragma once

#include "bpf/abi.h"
#include "policy/model.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>

namespace penstock::differential {

__extension__ using Wide = __int128;

// What passes at once: as given, or what 100 ms or one period bring, and never less than `least` of the former.
Wide naive_burst(const policy::Rate &, bool starts_with_a_period, std::uint64_t least);

enum class Holds { no, unsure, yes }; // unsure: by less than the kernel rounds

// A rate. What is not back yet is held as a time, in ns times the rate's amount, so that all of it is whole.
class NaiveBucket {
  public:
    NaiveBucket() = default;
    explicit NaiveBucket(bool starts_with_a_period, std::uint64_t least) // see naive_burst
        : starts_with_a_period_(starts_with_a_period), least_burst_(least) {}

    void limit(const std::optional<policy::Rate> &, std::uint64_t now);
    bool is_limited() const { return rate_.has_value(); }
    Holds holds(std::uint64_t now, std::uint64_t units) const;
    void take(std::uint64_t now, std::uint64_t units);
    std::uint64_t wait(std::uint64_t now, std::uint64_t units) const; // until that many would be back

    // Until all is back: the least and the most that the kernel may have made of it.
    std::uint64_t least_debt_ns(std::uint64_t now) const;
    std::uint64_t most_debt_ns(std::uint64_t now) const;
    void owe(std::uint64_t now, std::uint64_t ns);

  private:
    struct State {
        Wide debt, slack;
    };
    Wide amount() const { return rate_ ? rate_->amount : 1; }
    Wide burst() const;
    bool is_exact() const { return rate_->per_ns % rate_->amount == 0; }
    Wide rounding(Wide units) const;
    State at(std::uint64_t now) const;

    std::optional<policy::Rate> rate_;
    bool starts_with_a_period_ = false;
    std::uint64_t least_burst_ = 1;
    Wide debt_ = 0, slack_ = 0; // the kernel's debt is between debt and debt + slack
    std::uint64_t as_of_ = 0;
};

// A quota. Its windows are counted from when it was first asked for anything.
class NaiveQuota {
  public:
    struct Window {
        std::uint64_t number = 0, used = 0, granted = 0, told = 0;
    };

    void limit(const std::optional<policy::Quota> &);
    bool charges(abi::ps_direction) const;
    bool holds(std::uint64_t now, std::uint64_t octets) const;
    void ask(std::uint64_t now); // begins the first window
    void spend(std::uint64_t now, std::uint64_t octets);
    void give_back(std::uint64_t now, std::uint64_t octets);
    // Per cent that are to be told once a window: 80 when so much is spent, 100 when something was refused. 0: nothing new.
    unsigned tell(std::uint64_t now, bool refused);
    void grant(std::uint64_t now, std::uint64_t octets);
    void resume(std::uint64_t start, const Window &); // as if it had been so until now
    Window window(std::uint64_t now) const;
    bool will_begin_anew() const { return was_changed_; } // when it is next asked
    std::uint64_t left(std::uint64_t now) const;
    std::uint64_t wait(std::uint64_t now) const; // until the window turns

  private:
    std::optional<policy::Quota> quota_;
    std::optional<std::uint64_t> start_;
    std::uint64_t length_ns_ = 0;
    bool was_changed_ = false;
    std::map<std::uint64_t, std::uint64_t> used_, granted_, told_; // by window
};

struct NaiveBudget {
    NaiveBudget();
    std::array<NaiveBucket, abi::PS_RATES> buckets;
    NaiveQuota quota;
};

} // namespace penstock::differential
