// SPDX-License-Identifier: Apache-2.0
// A snapshot as Prometheus text format 0.0.4. Names and labels are API (docs/api.md).
#pragma once

#include "userspace/telemetry/snapshot.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::telemetry {

// The page has no more quotas: four series each, and any container can begin one for each rule it has.
inline constexpr std::size_t most_quotas = 4096;

std::string prometheus_text(const Snapshot &, std::vector<QuotaRow> = {});

// A label's value: backslash, quote and newline escaped, octets that are no UTF-8 made visible.
std::string escape_label(std::string_view);

} // namespace penstock::telemetry
