// SPDX-License-Identifier: Apache-2.0
// What limits mean, said a second time over the model: whose hold an attempt, in which order, what is charged, told and given
// back. Shares only the model's types with policy/compile_limits and bpf/lib/limiter.h.
#pragma once

#include "tests/differential/naive_budget.h"

#include <map>
#include <string>
#include <vector>

namespace penstock::differential {

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
    void add_gate(std::vector<Gate> &, const std::string &rule, int reason, int kind,
                  std::uint64_t units) const;
    std::vector<Gate> gates(const Attempt &) const;
    void add_packet_gates(std::vector<Gate> &, const std::string &rule, const Attempt &) const;
    Holds holds(const Clock &, const Gate &) const;
    std::vector<Told> ask_quotas(const Clock &, const std::vector<Gate> &asked, bool all_hold);

    std::map<std::string, NaiveBudget> budgets_;
};

} // namespace penstock::differential
