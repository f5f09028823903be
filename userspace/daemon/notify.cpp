// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/notify.h"

#include "userspace/base/unique_fd.h"
#include "userspace/daemon/async.h"

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

namespace penstock::daemon {

void notify_manager(std::string_view state) {
    const char *path = std::getenv("NOTIFY_SOCKET");
    sockaddr_un name{};
    if (!path || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof name.sun_path)
        return;
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path, std::strlen(path));
    if (path[0] == '@') // abstract
        name.sun_path[0] = '\0';
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
    if (socket) // a manager that does not listen is its own fault: nothing here depends on it
        (void)::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                       reinterpret_cast<const sockaddr *>(&name), length);
}

std::optional<std::chrono::microseconds> watchdog_interval() {
    const char *text = std::getenv("WATCHDOG_USEC");
    std::uint64_t microseconds = 0;
    if (!text || std::from_chars(text, text + std::strlen(text), microseconds).ec != std::errc{} ||
        microseconds < 2)
        return std::nullopt;
    return std::chrono::microseconds(microseconds / 2);
}

boost::asio::awaitable<void> feed_watchdog(std::chrono::microseconds interval) {
    for (;;) {
        notify_manager("WATCHDOG=1");
        co_await sleep_for(interval);
    }
}

} // namespace penstock::daemon
