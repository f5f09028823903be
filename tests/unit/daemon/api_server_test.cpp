// SPDX-License-Identifier: Apache-2.0
// The server on a real unix socket, with a handler of the test's own and clients that behave badly.
#include "tests/unit/daemon/api_test_server.h"

using namespace penstock;
using namespace penstock::daemon;

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

TEST_CASE("a stale socket is replaced, a living daemon's and a file are not") {
    const TempDirectory directory;
    const Log log(LogLevel::error, LogFormat::text);
    asio::io_context io;
    const std::string path = directory.path + "/s";
    {
        const UniqueFd stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        REQUIRE(::bind(stale.get(), reinterpret_cast<const sockaddr *>(&name), sizeof name) == 0);
    }
    ApiServer first(io, log, echo);
    REQUIRE(first.listen_unix(path).has_value());
    ApiServer second(io, log, echo);
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
