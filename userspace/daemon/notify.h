// SPDX-License-Identifier: Apache-2.0
// Tells the service manager how we are (sd_notify protocol): one datagram to $NOTIFY_SOCKET, nothing without it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string_view>

namespace penstock::daemon {

void notify_manager(std::string_view state); // "READY=1", "RELOADING=1\nMONOTONIC_USEC=...", "STOPPING=1"

// How often the manager wants WATCHDOG=1, halved; none if it does not.
std::optional<std::chrono::microseconds> watchdog_interval();
boost::asio::awaitable<void> feed_watchdog(std::chrono::microseconds interval); // without an end

} // namespace penstock::daemon
