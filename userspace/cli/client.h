// SPDX-License-Identifier: Apache-2.0
// HTTP over the daemon's unix socket: one connection a request, blocking, each with a deadline. Knows nothing of
// commands or of what an answer means.
#pragma once

#include "userspace/base/result.h"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace penstock::cli {

struct Request {
    std::string method = "GET";
    std::string target{}; // path and query, percent-encoded
    std::string body{};
    std::string content_type{};
};

struct Response {
    unsigned status = 0;
    std::string body{};
};

class Client {
  public:
    explicit Client(std::string socket_path, std::chrono::seconds timeout = std::chrono::seconds(60))
        : socket_path_(std::move(socket_path)), timeout_(timeout) {}

    // An answer with any status, or why there is none.
    Result<Response> send(const Request &) const;

    // Hands each line of a 200 answer to `on_line` as it arrives, until the answer ends or `on_line` returns false. No
    // deadline once the answer has begun. Another status: its body is returned, as by `send`.
    Result<Response> stream(const Request &, const std::function<bool(std::string_view)> &on_line) const;

    const std::string &socket_path() const { return socket_path_; }

  private:
    std::string socket_path_;
    std::chrono::seconds timeout_;
};

// "/penstock.slice/web" to "%2Fpenstock.slice%2Fweb": safe as one path segment and as a query value.
std::string percent_encoded(std::string_view);

} // namespace penstock::cli
