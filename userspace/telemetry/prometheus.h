// SPDX-License-Identifier: Apache-2.0
// A snapshot as Prometheus text format 0.0.4. Names and labels are API (docs/api.md).
#pragma once

#include "userspace/telemetry/snapshot.h"

#include <string>

namespace penstock::telemetry {

std::string prometheus_text(const Snapshot &);

// A label's value: backslash, quote and newline escaped, octets that are no UTF-8 made visible.
std::string escape_label(std::string_view);

} // namespace penstock::telemetry
