// SPDX-License-Identifier: Apache-2.0
// Is all that a rule allowed by CIDR denied under other policies? Pure; a part of lost_traffic.h.
#pragma once

#include "policy/model.h"

#include <string>
#include <vector>

namespace penstock::daemon {

// "deny-rule" or "no-rule", why none of the rule's addresses and ports is open by address any more under all of `afterwards`;
// "": some may be, or there are too many CIDRs to tell. What a name opens is another matter.
std::string why_addresses_lost(const std::vector<const policy::Policy *> &afterwards,
                               const policy::Rule &rule);

} // namespace penstock::daemon
