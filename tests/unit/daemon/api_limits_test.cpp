// SPDX-License-Identifier: Apache-2.0
// How much of the server one kind of client may take: readers, those who may change policies, clients over TCP.
#include "tests/unit/daemon/api_test_server.h"

#include <netinet/in.h>

using namespace penstock;
using namespace penstock::daemon;

TEST_CASE("a peer that may not change policies gets a policy of 1 MiB judged, not more") {
    const Server server;
    const std::string head = "POST /v1/policies/check HTTP/1.1\r\n";
    const auto post = [&](std::size_t length) {
        return ask(server, head + "Content-Length: " + std::to_string(length) + "\r\n\r\n" +
                               std::string(length, 'x'));
    };
    constexpr std::size_t most = 1 << 20;
    std::string fits, over, chunked;
    if (!as_nobody(server, [&] {
            fits = post(most);
            over = post(most + 1);
            std::string body = head + "Transfer-Encoding: chunked\r\n\r\n";
            for (int i = 0; i < 17; ++i)
                body += "10000\r\n" + std::string(65536, 'x') + "\r\n";
            chunked = ask(server, body + "0\r\n\r\n");
        }))
        return;
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

TEST_CASE("the reader over 64 at one time is told so; who may change policies has places left") {
    const Server server;
    const std::string request = "GET /a HTTP/1.1\r\n\r\n";
    std::vector<Client> clients;
    const auto enters = [&] {
        clients.emplace_back(server.path());
        clients.back().send(request);
        return clients.back().read("GET a 0").find("200 OK") != std::string::npos;
    };
    int readers = 0;
    std::string over;
    if (!as_nobody(server, [&] {
            while (readers < 64 && enters())
                ++readers;
            over = ask(server, request);
        }))
        return;
    CHECK(readers == 64);
    CHECK(over.find("HTTP/1.1 503 ") == 0);
    for (int i = 0; i < 8; ++i)
        REQUIRE(enters());
    CHECK(ask(server, request).find("HTTP/1.1 503 ") == 0);
}
