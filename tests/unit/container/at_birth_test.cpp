// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/at_birth.h"

#include "userspace/container/glob.h"
#include "userspace/container/path.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <random>

using namespace penstock::container;
using Policies = std::vector<std::size_t>;

namespace {

// What the birth program does with the entries: the longest prefix, then its tail. Nothing: it can't tell.
std::optional<Policies> at_birth(const std::vector<SelectedAtBirth> &entries, const std::string &path) {
    const SelectedAtBirth *longest = nullptr;
    const auto length = [](const auto &entry) { return entry.prefix.size() + entry.literal; };
    for (const auto &entry : entries)
        if ((entry.literal ? path == entry.prefix : path.starts_with(entry.prefix)) &&
            (!longest || length(entry) > length(*longest)))
            longest = &entry;
    if (!longest || longest->policies.empty() ||
        (longest->level && longest->level != components(path).size()) ||
        (!longest->literal && path.ends_with(".slice")) ||
        path.size() < longest->prefix.size() + longest->suffix.size() || !path.ends_with(longest->suffix))
        return std::nullopt;
    return longest->policies;
}

Policies selected(const std::vector<SelectingGlob> &globs, const std::string &path) {
    Policies found;
    for (const auto &[glob, policy] : globs)
        if ((is_literal(glob) || !path.ends_with(".slice")) && glob_match(glob, path))
            found.push_back(policy);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

} // namespace

TEST_CASE("the common selectors are known at birth") {
    const auto entries = selected_at_birth({{"/penstock.slice/**", 0},
                                            {"/system.slice/docker-*.scope", 1},
                                            {"/machine.slice/*", 2},
                                            {"/agents/one", 3},
                                            {"/agents/**", 4},
                                            {"/ci.slice", 5}});
    CHECK(at_birth(entries, "/penstock.slice/a") == Policies{0});
    CHECK(at_birth(entries, "/penstock.slice/x.slice/a") == Policies{0});
    CHECK(at_birth(entries, "/system.slice/docker-0f.scope") == Policies{1});
    CHECK(at_birth(entries, "/machine.slice/m") == Policies{2});
    CHECK(at_birth(entries, "/agents/one") == Policies{3, 4});
    CHECK(at_birth(entries, "/agents/two") == Policies{4});
    CHECK(at_birth(entries, "/ci.slice") == Policies{5});
    for (const auto *path :
         {"/penstock.slice", "/penstock.slice/x.slice", "/system.slice/docker-0f.service", "/agents",
          "/system.slice/docker.scope", "/machine.slice/m/below", "/ci.slice/a", "/ci", "/"})
        CHECK(at_birth(entries, path) == std::nullopt);
}

TEST_CASE("what another selector may hold for is not certain") {
    const auto entries =
        selected_at_birth({{"/a/**", 0}, {"/a/?x", 1}, {"/b/**", 0}, {"/b/c*", 1}, {"/b/c*d", 2}});
    CHECK(at_birth(entries, "/a/one") == std::nullopt);
    CHECK(at_birth(entries, "/b/one") == Policies{0});
    CHECK(at_birth(entries, "/b/cd") == std::nullopt); // and not that of /b/** alone
}

TEST_CASE("what is told at birth is what selects the cgroup when it is there") {
    const std::vector<std::string> parts{"a", "b", "ab", "aba", "x.slice", "*", "a*", "*b", "a*a", "?", "**"};
    std::mt19937 random(20261121); // NOLINT: the same on every run
    const auto pick = [&](std::size_t count) { return parts[random() % count]; };
    std::size_t told = 0;
    for (int round = 0; round < 3000; ++round) {
        std::vector<SelectingGlob> globs;
        for (auto i = 1 + random() % 5; i > 0; --i) {
            std::string glob;
            for (auto depth = 1 + random() % 3; depth > 0; --depth)
                glob += "/" + pick(depth == 1 || random() % 5 == 0 ? parts.size() : 5);
            globs.push_back({glob, random() % 3});
        }
        const auto entries = selected_at_birth(globs);
        for (int i = 0; i < 30; ++i) {
            std::string path;
            for (auto depth = 1 + random() % 4; depth > 0; --depth)
                path += "/" + pick(5);
            const auto now = at_birth(entries, path);
            told += now.has_value();
            INFO(path);
            if (now)
                REQUIRE(*now == selected(globs, path));
        }
    }
    CHECK(told > 5000);
}
