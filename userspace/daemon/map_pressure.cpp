// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/map_pressure.h"

#include "userspace/telemetry/pressure.h"

namespace penstock::daemon {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto interval = std::chrono::seconds(10);
constexpr int rests = 200; // times as long as counting took: half a per cent of a core at most

} // namespace

boost::asio::awaitable<void> watch_map_pressure(Meter &meter, telemetry::EventLog &events,
                                                std::function<void()> added) {
    telemetry::Pressure pressure;
    Clock::duration rest = interval;
    for (;;) {
        co_await sleep_for(rest);
        const auto begun = Clock::now();
        const auto fills = co_await meter.fills();
        rest = std::max<Clock::duration>(interval, rests * (Clock::now() - begun));
        auto passed = pressure.look(fills, std::chrono::system_clock::now());
        for (auto &event : passed)
            events.add(std::move(event));
        if (!passed.empty())
            added();
    }
}

} // namespace penstock::daemon
