// SPDX-License-Identifier: Apache-2.0
// explain(compile(model)) against the naive judge over the model, on random policies, flows and questions.
#include "tests/differential/generate.h"

#include <catch2/catch.hpp>

#include <iostream>
#include <map>

using namespace penstock;
using namespace penstock::differential;

namespace {

policy::Image compile_world(const World &world) {
    std::vector<const policy::Policy *> selected;
    for (const auto &policy : world.policies)
        selected.push_back(&policy);
    return policy::compile(selected, world.environment);
}

template <class Asked>
void compare(const World &world, const policy::Image &image, const Asked &asked, std::map<int, int> &seen) {
    const auto expected = judge(world, asked);
    const auto got = answer_of(image, policy::explain(image, asked));
    ++seen[expected.reason];
    if (got == expected)
        return;
    INFO(describe(world));
    INFO(describe(asked));
    INFO("explain: " << describe(got));
    INFO("naive:   " << describe(expected));
    REQUIRE(got == expected);
}

} // namespace

TEST_CASE("compiled policies judge as the model says") {
    const auto seed = run_seed();
    std::cout << "PENSTOCK_SEED=" << seed << '\n';
    INFO("PENSTOCK_SEED=" << seed);
    Generator generator(seed);
    std::map<int, int> seen;
    for (int round = 0; round < 5000; ++round) {
        const auto world = generator.world();
        const auto image = compile_world(world);
        for (int i = 0; i < 25; ++i)
            compare(world, image, generator.flow(world), seen);
        for (int i = 0; i < 20; ++i)
            compare(world, image, generator.question(world), seen);
    }
    // The comparison is worth what it reached: every reason these two can give, each often.
    for (const int reason :
         {abi::PS_R_CIDR, abi::PS_R_LEARNED, abi::PS_R_DNS_QUERY, abi::PS_R_LOOPBACK, abi::PS_R_REVERSE_QUERY,
          abi::PS_R_NO_RULE, abi::PS_R_DENY_RULE, abi::PS_R_NAME_NOT_ALLOWED, abi::PS_R_NAME_DENIED,
          abi::PS_R_RESOLVER, abi::PS_R_DNS_SESSION, abi::PS_R_LOOPBACK_DENIED, abi::PS_R_REVERSE_NOT_ALLOWED,
          abi::PS_R_PROTOCOL})
        CHECK(seen[reason] > 500);
    int total = 0;
    for (const auto &[reason, count] : seen)
        total += count;
    std::cout << total << " pairs compared\n";
    CHECK(total >= 200000);
}
