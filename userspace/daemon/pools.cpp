// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/pools.h"

#include <future>
#include <thread>
#include <utility>

namespace penstock::daemon {

bool ends_soon(boost::asio::thread_pool &pool, std::chrono::milliseconds patience) {
    std::promise<void> promise;
    const auto end = promise.get_future();
    std::thread waiter([&pool, ended = std::move(promise)]() mutable {
        pool.join();
        ended.set_value();
    });
    if (end.wait_for(patience) == std::future_status::ready) {
        waiter.join();
        return true;
    }
    waiter.detach();
    return false;
}

} // namespace penstock::daemon
