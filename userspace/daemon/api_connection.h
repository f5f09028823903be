// SPDX-License-Identifier: Apache-2.0
// One HTTP connection of the local API, as a coroutine; private to the server.
#pragma once

#include "userspace/daemon/api_server.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>

namespace penstock::daemon {

struct ApiShared {
    ApiShared(boost::asio::io_context &io, const Log &sink, telemetry::EventLog &event_log,
              ApiServer::Handler request_handler)
        : logger(sink), log(event_log), handler(std::move(request_handler)), events_added(io) {
        events_added.expires_at(boost::asio::steady_timer::time_point::max());
    }
    void close_all() {
        events_added.cancel();
        for (const auto &[key, close] : open)
            close();
    }

    const Log &logger;
    telemetry::EventLog &log;
    ApiServer::Handler handler;
    boost::asio::steady_timer events_added; // cancelled to wake all that wait on it
    std::map<const void *, std::function<void()>> open;
    unsigned connections = 0;
    unsigned large_bodies = 0; // being read now
    bool stopping = false;
};

// `busy`: answer 503 and close.
boost::asio::awaitable<void> serve_connection(boost::asio::local::stream_protocol::socket,
                                              std::shared_ptr<ApiShared>, bool metrics_only, bool busy);
boost::asio::awaitable<void> serve_connection(boost::asio::ip::tcp::socket, std::shared_ptr<ApiShared>,
                                              bool metrics_only, bool busy);

} // namespace penstock::daemon
