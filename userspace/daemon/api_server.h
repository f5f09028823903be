// SPDX-License-Identifier: Apache-2.0
// The sockets of the local API: HTTP/1.1 on a unix socket and, for metrics and health only, on TCP. Bounds every
// client (size, time, number) and knows nothing of what is asked: the handler answers.
#pragma once

#include "userspace/base/log.h"
#include "userspace/base/result.h"
#include "userspace/daemon/api_message.h"
#include "userspace/telemetry/event.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

namespace penstock::daemon {

class ApiServer {
  public:
    using Handler = std::function<boost::asio::awaitable<ApiAnswer>(ApiRequest)>;

    // The context and the log outlive the server.
    ApiServer(boost::asio::io_context &, const Log &, Handler);
    ~ApiServer();

    // Replaces a socket that nobody listens on; an error if another daemon does. Mode 0660, group penstock if there is one.
    Result<void> listen_unix(const std::string &path);
    Result<void> listen_tcp(const std::string &address); // "127.0.0.1:9464", "[::1]:9464"

    void events_added(); // wakes those who follow
    void stop();         // closes listeners and connections, removes the socket

    class Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

} // namespace penstock::daemon
