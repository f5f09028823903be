// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/dead_rows.h"

#include "userspace/base/clock.h"
#include "userspace/sync/stale.h"

namespace penstock::daemon {

boost::asio::awaitable<void> clear_dead_rows(boost::asio::thread_pool &pool, kernel::Gate &gate,
                                             const Log &log) {
    for (;;) {
        co_await sleep_for(std::chrono::seconds(60));
        sync::StaleRows round(gate);
        auto slice = [&round] { return round.sweep_slice(monotonic_ns()); };
        for (;;) {
            const auto done = co_await on_pool(pool, slice);
            if (!done)
                log.warning("dead rows could not be cleared", {{"error", done.error().message}});
            if (!done || *done)
                break;
        }
    }
}

} // namespace penstock::daemon
