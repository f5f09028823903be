// SPDX-License-Identifier: Apache-2.0
// Limits as text, in the grammar of units.h and in sentences.
#pragma once

#include "policy/bucket.h"

#include <string>
#include <vector>

namespace penstock::policy {

std::string rate_text(const Rate &, Quantity); // "10MiB/s burst 20MiB", "120/min"
std::string quota_text(const Quota &);         // "1GiB/24h egress"

// What limits hold a flow, or a question: "egress to 10MiB/s", "traffic to a quota of 1GiB per 24h".
std::vector<std::string> flow_limits(const Limits &);
std::vector<std::string> question_limits(const Limits &);

} // namespace penstock::policy
