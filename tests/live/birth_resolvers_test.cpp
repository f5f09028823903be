// SPDX-License-Identifier: Apache-2.0
// Whose answers teach a container before its policy is known.
#include "tests/live/own_cgroup.h"

#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"

#include <catch2/catch.hpp>

using namespace penstock;
using test::OwnCgroup;

TEST_CASE("the birth verdicts that let pass learn from the resolvers they are given and from no others") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto count = [&] {
        std::size_t n = 0;
        REQUIRE(gate->maps().resolvers.for_each([&](const auto &, const auto &) { n++; }));
        return n;
    };
    const auto a = policy::Address::parse("192.0.2.1").value(),
               b = policy::Address::parse("192.0.2.2").value();
    REQUIRE(writer->set_birth_resolvers({a, b}));
    CHECK(count() == 4);
    REQUIRE(writer->set_birth_resolvers({b}));
    CHECK(count() == 2);
    for (const std::uint16_t id : {abi::PS_POLICY_BIRTH_ALLOW, abi::PS_POLICY_BIRTH_AUDIT}) {
        CHECK(gate->maps().resolvers.lookup(sync::resolver_key(id, b)).value());
        CHECK(gate->maps().policies.lookup(id).value()->resolvers_any == 0);
    }
    CHECK_FALSE(gate->maps().resolvers.lookup(sync::resolver_key(abi::PS_POLICY_BIRTH_DENY, b)).value());
}
