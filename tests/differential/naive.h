// SPDX-License-Identifier: Apache-2.0
// The policy's meaning said a second time, straight over the model: loops over all rules, no tries, no merging, no
// ids. Slow and obvious; must share nothing with policy/compile* and policy/explain but their types.
#pragma once

#include "policy/compile.h"
#include "policy/explain.h"

#include <string>
#include <vector>

namespace penstock::differential {

struct World { // what selects one container, and its host
    std::vector<policy::Policy> policies;
    policy::Environment environment;
};

struct Answer {
    abi::ps_verdict verdict = abi::PS_DENY;
    abi::ps_reason reason = abi::PS_R_NO_RULE;
    std::string rule; // "policy/rule", "" for none
    bool operator==(const Answer &) const = default;
};

Answer judge(const World &, const policy::Flow &);
Answer judge(const World &, const policy::Question &);

// An explained verdict in the same form.
Answer answer_of(const policy::Image &, const policy::Verdict &);

} // namespace penstock::differential
