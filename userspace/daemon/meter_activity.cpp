// SPDX-License-Identifier: Apache-2.0
// When containers last did anything: their counters, looked at every 10 s.
#include "userspace/daemon/meter.h"

#include "userspace/base/clock.h"

namespace penstock::daemon {
namespace asio = boost::asio;

asio::awaitable<void> Meter::look_for_activity() {
    const auto now = monotonic_ns();
    const auto read = [this] {
        return gate_.maps().counters.packets_by_slot(gate_.maps().gate.read().next_cell);
    };
    const auto counted = co_await on_pool(readers_, read);
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
