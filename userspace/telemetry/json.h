// SPDX-License-Identifier: Apache-2.0
// Snapshots and events as the JSON of docs/api.md.
#pragma once

#include "userspace/telemetry/event.h"
#include "userspace/telemetry/snapshot.h"

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::telemetry {

boost::json::object counters_json(const Snapshot &, std::optional<std::uint64_t> only_cgroup);
boost::json::object features_json(const Snapshot &, std::string_view kernel_release);
boost::json::array maps_json(const Snapshot &);

// One line with its newline.
std::string event_line(const Event &);

} // namespace penstock::telemetry
