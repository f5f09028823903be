// SPDX-License-Identifier: Apache-2.0
// Room for the names that a container uses now.
#include "userspace/daemon/meter.h"

#include "userspace/base/clock.h"

namespace penstock::daemon {
namespace asio = boost::asio;

// On enforcement's pool: what a freed slot counted is read there, too, and must not move meanwhile.
asio::awaitable<void> Meter::make_room_for_names() {
    moving_ = true;
    const auto moved = co_await on_pool(pool_, [this] { return name_rows_.round(monotonic_ns()); });
    moving_ = false;
    if (!moved || *moved)
        ++epoch_;
    if (!moved)
        log_.warning("no room could be made for counters of names", {{"error", moved.error().message}});
}

} // namespace penstock::daemon
