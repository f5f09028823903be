// SPDX-License-Identifier: Apache-2.0
// When containers last did anything: their counters, looked at now and then.
#include "userspace/daemon/meter.h"

#include "userspace/base/clock.h"

#include <algorithm>
#include <chrono>

namespace penstock::daemon {
namespace asio = boost::asio;

namespace {

constexpr auto interval = std::chrono::seconds(10);
constexpr int rests = 1000; // times as long as a reading took: a thousandth of a core at most

} // namespace

asio::awaitable<void> Meter::look_for_activity() {
    using Clock = std::chrono::steady_clock;
    const auto begun = Clock::now();
    if (begun < activity_due_)
        co_return;
    const auto now = monotonic_ns();
    const auto read = [this] {
        return gate_.maps().counters.packets_by_slot(gate_.maps().gate.read().next_cell);
    };
    const auto counted = co_await on_pool(readers_, read);
    activity_due_ = begun + std::max<Clock::duration>(interval, rests * (Clock::now() - begun));
    if (!counted) {
        log_.warning("activity could not be read", {{"error", counted.error().message}});
        co_return;
    }
    activity_.begin(now);
    for (const auto &[id, container] : enforcer_.containers()) {
        const auto &row = container.row;
        if (row.slot < counted->size())
            activity_.look(row.slot, row.serial, row.born_ns, (*counted)[row.slot]);
    }
    activity_.end();
}

std::optional<telemetry::Activity::Idle> Meter::idle(const Container &container) const {
    return activity_.of(container.row.slot, container.row.serial);
}

} // namespace penstock::daemon
