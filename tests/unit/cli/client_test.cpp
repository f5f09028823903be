// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cli/api_server.h"
#include "userspace/cli/client.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>

using namespace penstock;
using namespace penstock::cli;
using test::Answer;
using test::ApiServer;
using test::Asked;

TEST_CASE("a request arrives as it was made, and the answer with its status") {
    ApiServer server([](const Asked &) { return Answer{.status = 422, .body = R"({"error": "no"})"}; });
    const auto response = Client(server.socket_path())
                              .send({"POST", "/v1/policies?file=a%2Fb", "kind: x\n", "application/yaml"});
    REQUIRE(response.has_value());
    CHECK(response->status == 422);
    CHECK(response->body == R"({"error": "no"})");
    REQUIRE(server.asked().size() == 1);
    const Asked asked = server.asked().front();
    CHECK(asked.method == "POST");
    CHECK(asked.target == "/v1/policies?file=a%2Fb");
    CHECK(asked.body == "kind: x\n");
    CHECK(asked.content_type == "application/yaml");
}

TEST_CASE("an answer and a body of many megabytes pass") {
    const std::string big(20'000'000, 'x');
    ApiServer server([&](const Asked &asked) { return Answer{.body = asked.body}; });
    const auto response = Client(server.socket_path()).send({"POST", "/", big, "text/plain"});
    REQUIRE(response.has_value());
    CHECK(response->body == big);
}

TEST_CASE("lines are handed out as they come, however they are cut into chunks") {
    ApiServer server([](const Asked &) {
        return Answer{.chunks = {"one\ntw", "o\n", "\nthr", "ee\n", "without an end"}};
    });
    std::vector<std::string> lines;
    const auto response =
        Client(server.socket_path()).stream({.target = "/v1/events"}, [&](std::string_view line) {
            lines.emplace_back(line);
            return true;
        });
    REQUIRE(response.has_value());
    CHECK(response->status == 200);
    CHECK(lines == std::vector<std::string>{"one", "two", "three"});
}

TEST_CASE("a line of a stream that has not ended is handed out at once") {
    ApiServer server([](const Asked &) { return Answer{.chunks = {"first\n"}, .stays_open = true}; });
    std::string seen;
    const auto response =
        Client(server.socket_path()).stream({.target = "/v1/events?follow=1"}, [&](std::string_view line) {
            seen = line;
            return false;
        });
    CHECK(response.has_value());
    CHECK(seen == "first");
}

TEST_CASE("a refused stream returns the refusal and hands out nothing") {
    ApiServer server(
        [](const Asked &) { return Answer{.status = 404, .body = "{\"error\": \"no such container\"}\n"}; });
    bool called = false;
    const auto response =
        Client(server.socket_path()).stream({.target = "/v1/events"}, [&](std::string_view) {
            return called = true;
        });
    REQUIRE(response.has_value());
    CHECK(response->status == 404);
    CHECK(response->body.find("no such container") != std::string::npos);
    CHECK_FALSE(called);
}

TEST_CASE("what can't be reached or understood is one clear error") {
    SECTION("no socket") {
        const auto response = Client("/nonexistent/api.sock").send({.target = "/"});
        REQUIRE(response.has_error());
        CHECK(response.error().message ==
              "cannot connect to the daemon at /nonexistent/api.sock: No such file or directory");
        CHECK(response.error().code == ENOENT);
    }
    SECTION("a path that no socket can have") {
        CHECK(Client("").send({.target = "/"}).has_error());
        CHECK(Client(std::string(108, 'x')).send({.target = "/"}).error().code == ENAMETOOLONG);
    }
    SECTION("not HTTP") {
        ApiServer server([](const Asked &) { return Answer{.raw = "SSH-2.0-nothing\r\n\r\n"}; });
        CHECK(Client(server.socket_path()).send({.target = "/"}).error().code == EPROTO);
    }
    SECTION("cut in the middle") {
        ApiServer server([](const Asked &) {
            return Answer{.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"};
        });
        CHECK(Client(server.socket_path()).send({.target = "/"}).has_error());
    }
    SECTION("silence") {
        ApiServer server([](const Asked &) { return Answer{.silent = true}; });
        const auto response = Client(server.socket_path(), std::chrono::seconds(1)).send({.target = "/"});
        REQUIRE(response.has_error());
        CHECK(response.error().message.find("read from the daemon") != std::string::npos);
    }
}

TEST_CASE("a line longer than any event ends the stream") {
    ApiServer server([](const Asked &) {
        return Answer{.chunks = std::vector<std::string>(40, std::string(65536, 'x')), .stays_open = true};
    });
    bool called = false;
    const auto response =
        Client(server.socket_path()).stream({.target = "/v1/events"}, [&](std::string_view) {
            return called = true;
        });
    CHECK_FALSE(called);
    CHECK(response.has_error());
}

TEST_CASE("percent-encoding leaves only what is safe in a segment and in a value") {
    CHECK(percent_encoded("/penstock.slice/a b?&=#%+\xc3\xbc~") ==
          "%2Fpenstock.slice%2Fa%20b%3F%26%3D%23%25%2B%C3%BC~");
}
