// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/pressure.h"

namespace penstock::telemetry {

std::vector<Event> Pressure::look(const std::vector<MapFill> &fills,
                                  std::chrono::system_clock::time_point now) {
    std::vector<Event> events;
    for (const auto &fill : fills) {
        const auto per_cent = fill.capacity ? static_cast<unsigned>(fill.used * 100 / fill.capacity) : 0;
        auto &told = told_[fill.map];
        if (per_cent < forgotten_below)
            told = 0;
        unsigned passed = 0;
        for (const unsigned mark : marks)
            if (per_cent >= mark)
                passed = mark;
        if (passed <= told)
            continue;
        told = passed;
        Event event;
        event.time = now;
        event.kind = event_pressure;
        event.name = fill.map;
        event.length = per_cent;
        events.push_back(std::move(event));
    }
    return events;
}

} // namespace penstock::telemetry
