// SPDX-License-Identifier: Apache-2.0
// A reading that many ask for and one makes at a time, however many they are. Nobody gets an older one than asked for: who
// asks while one is under way waits for the next, and all who wait share that.
#pragma once

#include "userspace/daemon/async.h"

#include <memory>

namespace penstock::daemon {

template <typename Value> class SharedReading {
  public:
    template <typename Executor> explicit SharedReading(const Executor &executor) : turn_(executor) {}

    // `read` makes the value, an awaitable.
    template <typename Read> boost::asio::awaitable<std::shared_ptr<const Value>> get(const Read &read) {
        if (!next_)
            next_ = std::make_shared<Round>();
        const auto round = next_;
        const auto turn = co_await turn_.take();
        if (!round->value) {
            if (next_ == round)
                next_.reset(); // it begins: too late to join
            round->value = std::make_shared<const Value>(co_await read());
        }
        co_return round->value;
    }

  private:
    struct Round {
        std::shared_ptr<const Value> value;
    };
    Turn turn_;
    std::shared_ptr<Round> next_;
};

} // namespace penstock::daemon
