// SPDX-License-Identifier: Apache-2.0
#include "policy/model.h"

#include <catch2/catch.hpp>

using penstock::policy::NamePattern;
using Kind = NamePattern::Kind;

TEST_CASE("which names a pattern holds") {
    const NamePattern exact{Kind::exact, "example.com"}, below{Kind::below, "example.com"},
        every{Kind::every, ""};
    const auto [name, by_exact, by_below] = GENERATE(table<std::string, bool, bool>({
        {"example.com", true, false},
        {"www.example.com", false, true},
        {"a.b.c.example.com", false, true},
        {"notexample.com", false, false},
        {"xexample.com", false, false},
        {"example.com.org", false, false},
        {"com", false, false},
        {"", false, false},
        {".example.com", false, false}, // no label before the dot
    }));
    INFO(name);
    CHECK(exact.matches(name) == by_exact);
    CHECK(below.matches(name) == by_below);
    CHECK(every.matches(name));
}

TEST_CASE("patterns print as they are written") {
    CHECK(NamePattern{Kind::exact, "a.b"}.text() == "a.b");
    CHECK(NamePattern{Kind::below, "a.b"}.text() == "*.a.b");
    CHECK(NamePattern{Kind::every, ""}.text() == "*");
}
