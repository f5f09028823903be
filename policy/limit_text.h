// SPDX-License-Identifier: Apache-2.0
// Limits as text: as they were written, in the grammar of units.h; and in sentences, as they hold.
#pragma once

#include "policy/bucket.h"

#include <string>
#include <vector>

namespace penstock::policy {

std::string amount_text(std::uint64_t, Quantity); // "20MiB", "120"
std::string rate_text(const Rate &, Quantity);    // "10MiB/s burst 20MiB", "120/min"
std::string quota_text(const Quota &);            // "1GiB/24h egress"

// What limits hold a flow, or a question: "egress to 10MiB/s", "traffic to a quota of 1GiB per 24h". A burst that was
// written below the least is the least: "egress to 1MB/s burst 144KiB".
std::vector<std::string> flow_limits(const Limits &);
std::vector<std::string> question_limits(const Limits &);

} // namespace penstock::policy
