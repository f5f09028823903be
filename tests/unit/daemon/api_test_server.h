// SPDX-License-Identifier: Apache-2.0
// The server on a real unix socket, with a handler of the test's own, and clients.
#pragma once

#include "tests/unit/daemon/temp_directory.h"
#include "userspace/base/unique_fd.h"
#include "userspace/daemon/api_server.h"
#include "userspace/telemetry/event.h"

#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <thread>

namespace penstock::daemon {
namespace asio = boost::asio;

inline constexpr int patience_ms = 20000;

inline asio::awaitable<ApiAnswer> echo(ApiRequest request) {
    if (request.path[0] == "throw")
        throw std::runtime_error("broken");
    if (request.path[0] == "events") {
        ApiAnswer answer;
        answer.events.emplace();
        answer.events->follow = request.query.contains("follow");
        answer.events->denied_only = request.query.contains("denied");
        co_return answer;
    }
    ApiAnswer answer;
    answer.body = request.method + " " + request.path[0] + " " + std::to_string(request.body.size());
    co_return answer;
}

// The loop runs on a thread of its own; the test talks to it through sockets and post() only.
struct Server {
    Server()
        : log(LogLevel::error, LogFormat::text), events(100),
          server(io, log, [this](ApiRequest request) { return answer(std::move(request)); }) {
        REQUIRE(server.listen_unix(path()).has_value());
        thread = std::thread([this] { io.run(); });
    }
    ~Server() {
        asio::post(io, [this] {
            server.stop();
            io.stop();
        });
        thread.join();
    }
    std::string path() const { return directory.path + "/api.sock"; }
    asio::awaitable<ApiAnswer> answer(ApiRequest request) {
        ApiAnswer answer = co_await echo(std::move(request));
        if (answer.events)
            answer.events->from = &events;
        co_return answer;
    }

    template <typename Work> auto on_loop(Work work) {
        return asio::post(io, asio::use_future(std::move(work))).get();
    }

    void add_event(std::uint8_t verdict) {
        asio::post(io, [this, verdict] {
            telemetry::Event event;
            event.kind = abi::PS_EVENT_DENIED;
            event.verdict = verdict;
            events.add(event);
            server.events_added();
        });
    }

    TempDirectory directory;
    Log log;
    telemetry::EventLog events;
    asio::io_context io;
    ApiServer server;
    std::thread thread;
};

struct Client {
    explicit Client(const std::string &path) : socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr *>(&name), sizeof name) == 0);
    }
    void send(std::string_view text) const {
        while (!text.empty()) {
            const auto sent = ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (sent < 0)
                return; // the server may have answered and closed already
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
    }
    // Until the text appears, or to the end of the connection.
    std::string read(const std::string &until = "\x01never") const {
        std::string text;
        char buffer[4096];
        pollfd wait{socket.get(), POLLIN, 0};
        while (text.find(until) == std::string::npos && ::poll(&wait, 1, patience_ms) > 0) {
            const auto length = ::recv(socket.get(), buffer, sizeof buffer, 0);
            if (length <= 0)
                break;
            text.append(buffer, static_cast<std::size_t>(length));
        }
        return text;
    }
    UniqueFd socket;
};

inline std::string ask(const Server &server, const std::string &request) {
    const Client client(server.path());
    client.send(request);
    ::shutdown(client.socket.get(), SHUT_WR);
    return client.read();
}

// False if it can't be: `act` needs a peer that may not change policies.
inline bool as_nobody(const Server &server, const std::function<void()> &act) {
    if (::geteuid() != 0) {
        WARN("needs root to be somebody else for a moment");
        return false;
    }
    ::chmod(server.directory.path.c_str(), 0755);
    ::chmod(server.path().c_str(), 0666);
    std::thread other([&] {
        ::syscall(SYS_setresuid, -1, 65534, -1); // of this thread only
        act();
    });
    other.join();
    return true;
}

} // namespace penstock::daemon
