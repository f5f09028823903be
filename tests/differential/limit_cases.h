// SPDX-License-Identifier: Apache-2.0
// What is tried against limits, and what was spent before: random packets and questions of a world, with what explain says of
// each, and random budgets, most of them where they decide.
#pragma once

#include "policy/explain.h"
#include "tests/differential/generate.h"
#include "tests/differential/naive_limits.h"
#include "tests/differential/packet.h"

#include <string>

namespace penstock::differential {

struct LimitCase {
    Octets frame;
    Attempt attempt;
    policy::Verdict verdict;   // explain's
    std::uint32_t packets = 1; // as it is sent and counted
    bool charged = true;       // allowed, and more than a packet over loopback
    std::string text;          // for a report
    std::string kind() const;
};

class LimitCases {
  public:
    explicit LimitCases(Generator &generator) : generator_(generator) {}

    LimitCase next(const World &, const policy::Image &);
    // What the rule's budget holds at the time given, in the kernel's form; the naive one is made to hold the same.
    abi::ps_budget prepare(NaiveBudget &, const abi::ps_limits &, const Attempt &, const Clock &);

  private:
    LimitCase flow(const World &, const policy::Image &);
    LimitCase packet_in(const World &);
    LimitCase question(const World &, const policy::Image &);
    Ends ends_to(const policy::Address &, std::uint16_t port);
    std::uint64_t debt(const abi::ps_rate &);
    void prepare_quota(abi::ps_budget &, NaiveQuota &, const abi::ps_limits &, const Attempt &,
                       const Clock &);

    Generator &generator_;
    std::uint16_t next_port_ = 1024;
};

// "policy/rule"; of rule 0 "".
std::string name_of(const policy::Image &, std::uint64_t rule);

} // namespace penstock::differential
