// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/daemon/temp_directory.h"
#include "userspace/daemon/cgroup_paths.h"

#include <catch2/catch.hpp>

using namespace penstock::daemon;

namespace {

Config config_of(const std::string &gate_root, std::vector<std::string> strict_roots) {
    Config config;
    config.gate_root = gate_root;
    for (auto &root : strict_roots)
        config.birth.strict_roots.push_back({std::move(root)});
    return config;
}

} // namespace

TEST_CASE("cgroup paths are taken below the mount and as directories") {
    for (const std::string gate : {"/gate", "/cg/gate", "/gate/"}) {
        const auto paths = cgroup_paths("/cg", config_of(gate, {"/cg/gate/strict", "/gate"}));
        REQUIRE(paths.has_value());
        CHECK(paths->gate_root == "/gate");
        CHECK(paths->gate_directory == "/cg/gate");
        CHECK(paths->birth.strict_roots[0].text == "/gate/strict");
        CHECK(paths->birth.strict_roots[1].text == "/gate");
    }
    const auto whole = cgroup_paths("/cg", config_of("", {"/any"}));
    REQUIRE(whole.has_value());
    CHECK(whole->gate_root == "/");
    CHECK(whole->gate_directory == "/cg");
}

TEST_CASE("a strict root outside the gate root is an error that names both") {
    for (const std::string root : {"/other", "/gatehouse", "/etc"}) {
        const auto paths = cgroup_paths("/cg", config_of("/gate", {root}));
        REQUIRE_FALSE(paths.has_value());
        CHECK(paths.error().message.find(root + " is outside the gate root /gate") != std::string::npos);
    }
}

TEST_CASE("a strict root that is not there is told until it is") {
    const TempDirectory directory;
    const auto paths = cgroup_paths(directory.path, config_of("", {"/late.slice"}));
    REQUIRE(paths.has_value());
    REQUIRE(absent_strict_roots(*paths).size() == 1);
    CHECK(absent_strict_roots(*paths)[0].find("/late.slice does not exist") != std::string::npos);
    std::filesystem::create_directory(directory.path + "/late.slice");
    CHECK(absent_strict_roots(*paths).empty());
}
