// SPDX-License-Identifier: Apache-2.0
// What limits mean, said a second time over the model: what came back since, what is spent, in exact whole numbers, with the
// clock as an argument. Shares only the model's types with policy/bucket, policy/compile_limits and bpf/lib/limiter.h.
#pragma once

#include "bpf/abi.h"
#include "policy/model.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock::differential {

__extension__ using Wide = __int128;

struct Clock {
    std::uint64_t monotonic_ns = 0, boot_ns = 0; // boot: goes on while the machine sleeps
};

// What a container tries: a packet (or a buffer that becomes several), the beginning of a connection with it, a question.
struct Attempt {
    std::string rule; // "policy/rule"; "": the container's limits alone
    abi::ps_direction direction = abi::PS_EGRESS;
    std::uint64_t octets = 0, packets = 0;
    bool opens = false;
    bool asks = false; // a question counts for its rule as that alone
};

enum class Holds { no, unsure, yes }; // unsure: by less than the kernel rounds

// A rate. What is not back yet is held as a time, in ns times the rate's amount, so that all of it is whole.
class NaiveBucket {
  public:
    NaiveBucket() = default;
    explicit NaiveBucket(bool starts_with_a_period, std::uint64_t least) // see burst()
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

struct Told {
    std::string rule;
    unsigned per_cent;
    bool operator==(const Told &) const = default;
};

// All that one container may spend.
class NaiveLimits {
  public:
    // The policies that hold it from now on; what was spent before stays spent.
    void enforce(const std::vector<policy::Policy> &, std::uint64_t now);

    // What may come of it: 0, it passes, or a reason. More than one only where the kernel's rounding decides.
    std::vector<int> outcomes(const Clock &, const Attempt &) const;
    // One of them came: what passed is charged to all, what did not to none. Gives what is to be told.
    std::vector<Told> settle(const Clock &, const Attempt &, int outcome);
    // Until the first limit that refuses it would not any more; 0: none does.
    std::uint64_t wait(const Clock &, const Attempt &) const;

    NaiveBudget &of(const std::string &rule) { return budgets_[rule]; } // "": of the container

  private:
    struct Gate {
        std::string rule;
        int reason;
        int kind; // ps_rate_kind; PS_RATES: the quota
        std::uint64_t units;
    };
    void add_gate(std::vector<Gate> &, const std::string &rule, int reason, int kind, std::uint64_t units) const;
    std::vector<Gate> gates(const Attempt &) const;
    void add_packet_gates(std::vector<Gate> &, const std::string &rule, const Attempt &) const;
    Holds holds(const Clock &, const Gate &) const;
    std::vector<Told> ask_quotas(const Clock &, const std::vector<Gate> &asked, bool all_hold);

    std::map<std::string, NaiveBudget> budgets_;
};

} // namespace penstock::differential
