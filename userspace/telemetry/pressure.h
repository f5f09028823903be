// SPDX-License-Identifier: Apache-2.0
// When a shared map is nearly full: told once at each mark, and again only after it has been well below.
#pragma once

#include "userspace/telemetry/event.h"
#include "userspace/telemetry/snapshot.h"

#include <map>
#include <vector>

namespace penstock::telemetry {

class Pressure {
  public:
    static constexpr unsigned marks[] = {80, 95}; // per cent
    static constexpr unsigned forgotten_below = 70;

    // An event of kind `event_pressure` for each map that has passed a mark since the last look.
    std::vector<Event> look(const std::vector<MapFill> &, std::chrono::system_clock::time_point now);

  private:
    std::map<std::string, unsigned> told_; // the highest mark, by map
};

} // namespace penstock::telemetry
