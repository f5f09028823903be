// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_message.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace penstock::daemon;

TEST_CASE("targets are taken apart and decoded") {
    ApiRequest request;
    REQUIRE_FALSE(parse_target("/v1/containers/%2Fa.slice%2Fb?x=1&y=a+b%26&z=", request));
    CHECK(request.path == std::vector<std::string>{"v1", "containers", "/a.slice/b"});
    CHECK(request.query.at("x") == "1");
    CHECK(request.query.at("y") == "a b&");
    CHECK(request.query.at("z").empty());

    ApiRequest bare;
    REQUIRE_FALSE(parse_target("/v1/explain?container=/a/b&ip=::1", bare));
    CHECK(bare.query.at("container") == "/a/b");
}

TEST_CASE("malformed targets are refused with a reason") {
    for (const auto *target :
         {"", "v1", "*", "/%", "/%4", "/%zz", "/a%00b", "/?a", "/?=1", "/?a=1&a=2", "/?a=%0"}) {
        INFO(target);
        ApiRequest request;
        const auto fault = parse_target(target, request);
        REQUIRE(fault);
        CHECK(fault->find_first_not_of(' ') != std::string::npos);
    }
}

TEST_CASE("an error is JSON whatever its text holds") {
    const auto answer = error_answer(400, "bad \"thing\"\n\xff");
    const auto object = boost::json::parse(answer.body).as_object();
    CHECK(object.at("error").as_string() == "bad \"thing\"\n\\xff");
    CHECK(object.at("diagnostics").as_array().empty());
}
