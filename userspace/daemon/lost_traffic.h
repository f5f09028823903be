// SPDX-License-Identifier: Apache-2.0
// What was allowed so far and would be denied if a text were applied: from the counters. Pure.
//
// Counters know the rule and the name, not the address and port: traffic is told as lost only where it is for certain. By name:
// where that may not be asked for any more, or none of the ports of the rule that allowed it is open for it; a deny of some
// addresses says nothing of those that a name has, only a deny of all does. By CIDR: where none of the rule's CIDRs and
// ports is open by address any more (lost_addresses.h). And where the container goes back to a birth verdict that denies: all
// that a rule allowed.
#pragma once

#include "policy/compile.h"
#include "userspace/container/selection.h"
#include "userspace/telemetry/snapshot.h"

#include <string>
#include <vector>

namespace penstock::daemon {

struct LostTraffic {
    telemetry::CounterRow row; // of egress; packets and bytes that passed so far
    std::string why;           // the reason of the verdict
};

struct LostTrafficInput {
    const std::vector<policy::Policy> &wanted;   // the text
    const std::vector<policy::Policy> &in_force; // before it
    const std::string &gate_root;
    const container::BirthRules &birth;
    const policy::Environment &environment;
    const std::vector<telemetry::CounterRow> &counters;
};

std::vector<LostTraffic> lost_traffic(const LostTrafficInput &); // in order of the counters

} // namespace penstock::daemon
