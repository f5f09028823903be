// SPDX-License-Identifier: Apache-2.0
// Two tools for one loop that owns all state: run something blocking elsewhere and have its value here, and let only
// one coroutine at a time do a thing that has several steps.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <utility>

namespace penstock::daemon {

// `work()` on a thread of the pool; resumes on the loop with its value. It must touch nothing the loop owns
// unless the caller holds the Turn that guards it. A lambda that captures more than plain values needs a name at the
// caller: GCC 12 destroys such a temporary twice when it stands in a co_await expression (GCC bug 99576).
template <typename Work>
auto on_pool(boost::asio::thread_pool &pool, const Work &work) -> boost::asio::awaitable<decltype(work())> {
    using Value = decltype(work());
    // A pointer: the value of a coroutine must have a default, and not every value has one.
    auto job = [](const Work *borrowed) -> boost::asio::awaitable<std::shared_ptr<Value>> {
        co_return std::make_shared<Value>((*borrowed)());
    };
    auto result = co_await boost::asio::co_spawn(pool, job(&work), boost::asio::use_awaitable);
    co_return std::move(*result);
}

inline boost::asio::awaitable<void> sleep_for(std::chrono::nanoseconds time) {
    boost::system::error_code ignored;
    boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                    std::chrono::duration_cast<std::chrono::steady_clock::duration>(time));
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
}

// Gives way to other work of the loop.
inline boost::asio::awaitable<void> breathe() {
    co_await sleep_for(std::chrono::nanoseconds(0));
}

// A lock that waits without blocking the loop. Its state outlives it, as coroutines that hold it may be destroyed later,
// by the end of the loop.
class Turn {
    struct State {
        template <typename Executor> explicit State(const Executor &executor) : freed(executor) {
            freed.expires_at(boost::asio::steady_timer::time_point::max());
        }
        boost::asio::steady_timer freed;
        bool taken = false;
    };

  public:
    template <typename Executor>
    explicit Turn(const Executor &executor) : state_(std::make_shared<State>(executor)) {}

    class Held {
      public:
        explicit Held(std::shared_ptr<State> state) : state_(std::move(state)) {}
        Held(Held &&) noexcept = default;
        Held &operator=(Held &&) = delete;
        ~Held() {
            if (!state_)
                return;
            state_->taken = false;
            state_->freed.cancel_one();
        }

      private:
        std::shared_ptr<State> state_;
    };

    boost::asio::awaitable<Held> take() {
        const auto state = state_;
        boost::system::error_code ignored;
        while (state->taken)
            co_await state->freed.async_wait(
                boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        state->taken = true;
        co_return Held(state);
    }

  private:
    std::shared_ptr<State> state_;
};

} // namespace penstock::daemon
