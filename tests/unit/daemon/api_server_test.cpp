// SPDX-License-Identifier: Apache-2.0
// The server on a real unix socket, with a handler of the test's own and clients that behave badly.
#include "tests/unit/daemon/temp_directory.h"
#include "userspace/base/unique_fd.h"
#include "userspace/daemon/api_server.h"

#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <thread>

using namespace penstock;
using namespace penstock::daemon;
namespace asio = boost::asio;

namespace {

constexpr int patience_ms = 20000;

asio::awaitable<ApiAnswer> echo(ApiRequest request) {
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
    Server() : log(LogLevel::error, LogFormat::text), events(100), server(io, log, events, echo) {
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

std::string ask(const Server &server, const std::string &request) {
    const Client client(server.path());
    client.send(request);
    ::shutdown(client.socket.get(), SHUT_WR);
    return client.read();
}

} // namespace

TEST_CASE("requests are answered, several on one connection") {
    const Server server;
    const Client client(server.path());
    client.send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(client.read("GET one 0").find("HTTP/1.1 200 OK") == 0);
    client.send("POST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    CHECK(client.read("POST two 3").find("200 OK") != std::string::npos);
}

TEST_CASE("the socket has mode 0660 and goes with the server") {
    std::string path;
    {
        const Server server;
        path = server.path();
        struct stat status {};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0660);
    }
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("malformed requests get 400 with JSON") {
    const Server server;
    for (const auto *request :
         {"nonsense\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n",
          "GET /a?b HTTP/1.1\r\n\r\n", "POST /a HTTP/1.1\r\nContent-Length: x\r\n\r\n",
          "GET / HTTP/1.1\r\nBad Header\r\n\r\n",
          "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
        INFO(request);
        const auto answer = ask(server, request);
        CHECK(answer.find("HTTP/1.1 400 ") == 0);
        CHECK(answer.find("{\"error\":\"malformed ") != std::string::npos);
    }
}

TEST_CASE("what is too large is refused: heads, bodies, announced or chunked") {
    const Server server;
    CHECK(ask(server, "GET / HTTP/1.1\r\nX: " + std::string(20000, 'x') + "\r\n\r\n").find("HTTP/1.1 400 ") ==
          0);
    CHECK(ask(server, "POST /a HTTP/1.1\r\nContent-Length: 65537\r\n\r\n").find("HTTP/1.1 413 ") == 0);
    CHECK(
        ask(server, "POST /v1/policies HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n").find("HTTP/1.1 413 ") ==
        0);
    std::string chunked = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 20; ++i)
        chunked += "1000\r\n" + std::string(4096, 'x') + "\r\n";
    CHECK(ask(server, chunked + "0\r\n\r\n").find("HTTP/1.1 413 ") == 0);
    const std::string large(1 << 20, 'x');
    const auto answer =
        ask(server, "POST /v1/policies HTTP/1.1\r\nContent-Length: " + std::to_string(large.size()) +
                        "\r\n\r\n" + large);
    CHECK(answer.find("POST v1 1048576") != std::string::npos);
}

TEST_CASE("a handler that throws costs one request, not the server") {
    const Server server;
    CHECK(ask(server, "GET /throw HTTP/1.1\r\n\r\n").find("HTTP/1.1 500 ") == 0);
    CHECK(ask(server, "GET /fine HTTP/1.1\r\n\r\n").find("GET fine 0") != std::string::npos);
}

TEST_CASE("a peer that may not change policies gets a policy of 1 MiB judged, not more") {
    const Server server;
    if (::geteuid() != 0) {
        WARN("needs root to be somebody else for a moment");
        return;
    }
    ::chmod(server.directory.path.c_str(), 0755);
    ::chmod(server.path().c_str(), 0666);
    const auto post = [&](std::size_t length) {
        return ask(server, "POST /v1/policies/check HTTP/1.1\r\nContent-Length: " + std::to_string(length) +
                               "\r\n\r\n" + std::string(length, 'x'));
    };
    constexpr std::size_t most = 1 << 20;
    std::string fits, over, chunked;
    std::thread other([&] {
        ::syscall(SYS_setresuid, -1, 65534, -1); // of this thread only
        fits = post(most);
        over = post(most + 1);
        std::string body = "POST /v1/policies/check HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (int i = 0; i < 17; ++i)
            body += "10000\r\n" + std::string(65536, 'x') + "\r\n";
        chunked = ask(server, body + "0\r\n\r\n");
    });
    other.join();
    CHECK(fits.find("POST v1 1048576") != std::string::npos);
    CHECK(over.find("HTTP/1.1 413 ") == 0);
    CHECK(over.find("1 MiB") != std::string::npos);
    CHECK(chunked.find("HTTP/1.1 413 ") == 0);
    CHECK(post(most + 1).find("POST v1 1048577") != std::string::npos);
}

TEST_CASE("clients over TCP have places of their own") {
    Server server;
    auto port = static_cast<std::uint16_t>(20000 + ::getpid() % 20000);
    for (; port < 60000; ++port)
        if (server.on_loop(
                [&] { return server.server.listen_tcp("127.0.0.1:" + std::to_string(port)).has_value(); }))
            break;
    std::vector<UniqueFd> idle;
    for (int i = 0; i < 70; ++i) {
        idle.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(port);
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(idle.back().get(), reinterpret_cast<const sockaddr *>(&name), sizeof name) == 0);
    }
    char answer[64] = {};
    REQUIRE(::recv(idle.back().get(), answer, sizeof answer - 1, 0) > 0);
    CHECK(std::string(answer).find("HTTP/1.1 503 ") == 0);
    CHECK(ask(server, "GET /a HTTP/1.1\r\n\r\n").find("GET a 0") != std::string::npos);
}

TEST_CASE("the client over 64 at one time is told so, unless it may change policies") {
    const Server server;
    std::vector<Client> clients;
    for (int i = 0; i < 64 + 8; ++i) {
        clients.emplace_back(server.path());
        clients.back().send("GET /a HTTP/1.1\r\n\r\n");
        REQUIRE(clients.back().read("GET a 0").find("200 OK") != std::string::npos);
    }
    CHECK(ask(server, "GET /a HTTP/1.1\r\n\r\n").find("HTTP/1.1 503 ") == 0);
}

TEST_CASE("a stale socket is replaced, a living daemon's and a file are not") {
    const TempDirectory directory;
    const Log log(LogLevel::error, LogFormat::text);
    telemetry::EventLog events(1);
    asio::io_context io;
    const std::string path = directory.path + "/s";
    {
        const UniqueFd stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        REQUIRE(::bind(stale.get(), reinterpret_cast<const sockaddr *>(&name), sizeof name) == 0);
    }
    ApiServer first(io, log, events, echo);
    REQUIRE(first.listen_unix(path).has_value());
    ApiServer second(io, log, events, echo);
    const auto refused = second.listen_unix(path);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message.find("another penstockd") != std::string::npos);
    const auto file = directory.write("file", "x");
    CHECK_FALSE(second.listen_unix(file).has_value());
    CHECK(std::filesystem::exists(file));
}

TEST_CASE("events are streamed as chunks: those held, and with follow those to come") {
    Server server;
    server.add_event(abi::PS_DENY);
    server.add_event(abi::PS_NONE);
    const auto held = ask(server, "GET /events HTTP/1.1\r\n\r\n");
    CHECK(held.find("Transfer-Encoding: chunked") != std::string::npos);
    CHECK(held.find("\"verdict\":\"deny\"") != std::string::npos);
    CHECK(held.find("\"verdict\":\"none\"") != std::string::npos);
    CHECK(held.ends_with("0\r\n\r\n"));

    const Client client(server.path());
    client.send("GET /events?follow=1&denied=1 HTTP/1.1\r\n\r\n");
    const auto first = client.read("\"verdict\":\"deny\"");
    CHECK(first.find("\"verdict\":\"none\"") == std::string::npos);
    server.add_event(abi::PS_WOULD_DENY);
    CHECK(client.read("would-deny").find("would-deny") != std::string::npos);
}
