// SPDX-License-Identifier: Apache-2.0
// What the documents show is true: every example loads.
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

#include <filesystem>

using namespace penstock::policy;
using namespace penstock::policy::test;

TEST_CASE("every policy in docs/examples loads, all together too") {
    std::vector<Source> all;
    for (const auto &entry : std::filesystem::directory_iterator(PENSTOCK_EXAMPLES)) {
        const auto path = entry.path().string();
        if (entry.path().filename() == "README.md")
            continue;
        all.push_back({path, read_file(path), format_of(path)});
        const auto loaded = load({all.back()});
        INFO(faults(loaded));
        CHECK_FALSE(loaded.policies.empty());
        CHECK_FALSE(has_errors(loaded.diagnostics));
    }
    CHECK(all.size() >= 5);
    CHECK_FALSE(has_errors(load(all).diagnostics));
}
