// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "userspace/daemon/meter.h"

#include <functional>

namespace penstock::daemon {

// Tells events of maps that are nearly full, without an end; `added` after each that was.
boost::asio::awaitable<void> watch_map_pressure(Meter &, telemetry::EventLog &, std::function<void()> added);

} // namespace penstock::daemon
