// SPDX-License-Identifier: Apache-2.0
// When containers last did anything: their counters, looked at now and then.
#include "userspace/daemon/meter.h"

#include "userspace/base/clock.h"

#include <algorithm>
#include <chrono>

namespace penstock::daemon {
namespace asio = boost::asio;

namespace {

using Clock = std::chrono::steady_clock;

constexpr struct {
    Clock::duration interval;
    int rests; // times as long as a reading took
} patience[] = {
    {std::chrono::seconds(10), 1000}, // a thousandth of a core at most
    {std::chrono::seconds(1), 50},    // a fiftieth, while somebody asks
};

} // namespace

// Who asks while somebody looks, or just after, is told what was seen last, and as of when.
asio::awaitable<void> Meter::look_for_activity(Due due) {
    const auto begun = Clock::now();
    if (looking_ || moving_ || begun < activity_due_[static_cast<int>(due)])
        co_return;
    looking_ = true;
    const auto epoch = epoch_;
    const auto now = monotonic_ns();
    const auto read = [this] {
        return gate_.maps().counters.packets_by_slot(gate_.maps().gate.read().next_cell);
    };
    const auto counted = co_await on_pool(readers_, read);
    looking_ = false;
    if (moving_ || epoch != epoch_)
        co_return; // what only moved between counters would look like activity
    for (const auto each : {Due::by_itself, Due::asked}) {
        const auto &[interval, rests] = patience[static_cast<int>(each)];
        activity_due_[static_cast<int>(each)] =
            begun + std::max<Clock::duration>(interval, rests * (Clock::now() - begun));
    }
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
