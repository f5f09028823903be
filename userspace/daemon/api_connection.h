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
    ApiShared(boost::asio::io_context &io, const Log &sink, ApiServer::Handler request_handler)
        : logger(sink), handler(std::move(request_handler)), events_added(io) {
        events_added.expires_at(boost::asio::steady_timer::time_point::max());
    }
    void close_all() {
        events_added.cancel();
        for (const auto &[key, close] : open)
            close();
    }

    const Log &logger;
    ApiServer::Handler handler;
    boost::asio::steady_timer events_added; // cancelled to wake all that wait on it
    std::map<const void *, std::function<void()>> open;
    unsigned connections = 0;         // on the unix socket
    unsigned metrics_connections = 0; // over TCP: whoever reaches the address must not lock root out
    unsigned large_bodies = 0;        // of those who may change policies, being read now
    bool stopping = false;
};

boost::asio::awaitable<void> serve_connection(boost::asio::local::stream_protocol::socket,
                                              std::shared_ptr<ApiShared>, bool metrics_only);
boost::asio::awaitable<void> serve_connection(boost::asio::ip::tcp::socket, std::shared_ptr<ApiShared>,
                                              bool metrics_only);

} // namespace penstock::daemon
