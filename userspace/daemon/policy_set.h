// SPDX-License-Identifier: Apache-2.0
// One whole set of policies, loaded and without errors: what is in force is always exactly one of these. A value,
// shared and never changed.
#pragma once

#include "userspace/daemon/policy_store.h"

#include <memory>
#include <string>
#include <vector>

namespace penstock::daemon {

struct PolicySet {
    std::vector<policy::Policy> policies;
    std::vector<std::size_t> source_of; // of each policy: index into sources
    std::vector<StoredSource> sources;
    policy::Diagnostics diagnostics;   // warnings
    std::vector<std::string> warnings; // sentences: what is accepted and not enforced

    const policy::Policy *find(const std::string &name) const;
};
using PolicySetPtr = std::shared_ptr<const PolicySet>;

struct LoadOutcome {
    PolicySetPtr set;                // null if there are errors
    policy::Diagnostics diagnostics; // all
};

LoadOutcome load_policies(std::vector<StoredSource>, policy::Diagnostics from_reading);

} // namespace penstock::daemon
