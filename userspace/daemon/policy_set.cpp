// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/policy_set.h"

#include "userspace/container/selection.h"

#include <utility>

namespace penstock::daemon {

const policy::Policy *PolicySet::find(const std::string &name) const {
    for (const auto &policy : policies)
        if (policy.name == name)
            return &policy;
    return nullptr;
}

LoadOutcome load_policies(std::vector<StoredSource> sources, policy::Diagnostics from_reading) {
    std::vector<policy::Source> texts;
    for (const auto &stored : sources)
        texts.push_back(stored.source);
    auto loaded = policy::load(texts);

    LoadOutcome outcome;
    outcome.diagnostics = std::move(from_reading);
    outcome.diagnostics.insert(outcome.diagnostics.end(), loaded.diagnostics.begin(),
                               loaded.diagnostics.end());
    if (policy::has_errors(outcome.diagnostics))
        return outcome;

    auto set = std::make_shared<PolicySet>();
    set->policies = std::move(loaded.policies);
    set->source_of = std::move(loaded.source_of);
    set->sources = std::move(sources);
    set->diagnostics = outcome.diagnostics;
    for (const auto &policy : set->policies)
        for (auto &sentence : container::Selection::unbuilt(policy))
            set->warnings.push_back(std::move(sentence));
    outcome.set = std::move(set);
    return outcome;
}

} // namespace penstock::daemon
