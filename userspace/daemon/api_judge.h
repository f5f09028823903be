// SPDX-License-Identifier: Apache-2.0
// What a text of policies would be, and what it would change: from copies of the daemon's state, so that it needs neither
// the loop nor its time.
#pragma once

#include "userspace/daemon/api_message.h"
#include "userspace/daemon/enforcer.h"
#include "userspace/telemetry/snapshot.h"

#include <string>
#include <utility>
#include <vector>

namespace penstock::daemon {

struct InForceNow {
    PolicySetPtr set;
    std::string gate_root;
    container::BirthRules birth;
    std::vector<std::pair<std::string, std::vector<std::string>>>
        cgroups; // paths, with the names of their policies
    policy::Environment environment{};
    std::vector<telemetry::CounterRow> counters{}; // what passed so far, from the caller
};

InForceNow in_force(const Enforcer &); // on the loop

// The answer of docs/api.md to a check, or to a diff if it is given what is in force. On a pool.
ApiAnswer judge_text(const policy::Source &, const InForceNow *);

} // namespace penstock::daemon
