// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/glob.h"

#include <catch2/catch.hpp>

using penstock::container::glob_match;

TEST_CASE("cgroup globs match components, runs of components and single characters") {
    struct Row {
        const char *pattern, *path;
        bool matches;
    };
    const Row rows[] = {
        {"/a", "/a", true},
        {"/a", "/a/", true},
        {"/a", "/b", false},
        {"/a", "/a/b", false},
        {"/a/*", "/a/b", true},
        {"/a/*", "/a", false},
        {"/a/*", "/a/b/c", false},
        {"/a/b*", "/a/b", true},
        {"/a/b*", "/a/bcd", true},
        {"/a/*b", "/a/abab", true},
        {"/a/*b*c*", "/a/xbxcx", true},
        {"/a/*b*c*", "/a/xcxbx", false},
        {"/a/?", "/a/b", true},
        {"/a/?", "/a/bc", false},
        {"/a?b", "/a/b", false},
        {"/**", "/a", true},
        {"/**", "/a/b/c", true},
        {"/**", "/", false},
        {"/a/**", "/a", false},
        {"/a/**", "/a/b", true},
        {"/a/**", "/a/b/c", true},
        {"/a/**", "/ab/c", false},
        {"/a/**/z", "/a/z", true},
        {"/a/**/z", "/a/b/c/z", true},
        {"/a/**/z", "/a/b/c", false},
        {"/**/docker-*.scope", "/system.slice/docker-12.scope", true},
        {"/**/docker-*.scope", "/docker-12.scope", true},
        {"/a**b", "/axyb", true}, // not a whole component: an ordinary run
        {"/a**b", "/ax/yb", false},
        {"/**/a/**/b", "/x/a/b/a/y/b", true},
    };
    for (const auto &row : rows) {
        INFO(row.pattern << " on " << row.path);
        CHECK(glob_match(row.pattern, row.path) == row.matches);
    }
}

TEST_CASE("a pattern of many stars ends in bounded time") {
    std::string pattern = "/", path = "/";
    for (int i = 0; i < 60; ++i)
        pattern += "*a";
    path += std::string(250, 'a') + "b";
    CHECK_FALSE(glob_match(pattern, path));
}
