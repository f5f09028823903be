// SPDX-License-Identifier: Apache-2.0
// Rates, quotas and durations from text. Sizes: B, KB KiB, MB MiB, GB GiB, TB TiB. Times: s, min (m), h, d.
// Private to the front end, but parse_size.
#pragma once

#include "policy/bucket.h"
#include "policy/model.h"
#include "policy/outcome.h"

#include <cstdint>
#include <string_view>

namespace penstock::policy {

Outcome<Rate> parse_rate(std::string_view, Quantity);   // "10MiB/s burst 20MiB", "120/min burst 20"
Outcome<std::uint64_t> parse_size(std::string_view);    // "500MiB": octets
Outcome<Quota> parse_quota(std::string_view);           // "1GiB/24h", "1GiB/24h egress"
Outcome<std::uint64_t> parse_seconds(std::string_view); // "30s", "5m"

} // namespace penstock::policy
