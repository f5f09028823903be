// SPDX-License-Identifier: Apache-2.0
// The binary form, as the control plane sends it.
#include "policy/proto/policy.pb.h"
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::policy;
using namespace penstock::policy::test;
using Catch::Contains;

namespace {

v1::EgressPolicyList list_of(int count) {
    v1::EgressPolicyList list;
    for (int i = 0; i < count; ++i) {
        auto &p = *list.add_items();
        p.set_api_version("penstock/v1");
        p.set_kind("EgressPolicy");
        p.mutable_metadata()->set_name("p" + std::to_string(i));
        p.mutable_spec()->add_select()->set_cgroup("/x");
        auto &rule = *p.mutable_spec()->add_allow();
        rule.add_domains("Example.com");
        rule.add_ports("tcp/443");
        p.mutable_spec()->mutable_dns()->mutable_resolvers()->add_values("any");
    }
    return list;
}

} // namespace

TEST_CASE("a binary list gives the same policies as text") {
    const auto loaded = load_text(list_of(2).SerializeAsString(), Format::protobuf);
    INFO(faults(loaded));
    REQUIRE(loaded.policies.size() == 2);
    CHECK(loaded.policies[1].name == "p1");
    CHECK(loaded.policies[1].allow[0].domains[0].name == "example.com");
    CHECK(loaded.policies[1].dns.resolvers_any);
    CHECK(load_text("", Format::protobuf).diagnostics.empty());
}

TEST_CASE("faults of a binary list have a path and no line") {
    auto list = list_of(2);
    for (auto &item : *list.mutable_items())
        item.mutable_spec()->clear_dns(); // any resolver gives a warning
    list.mutable_items(1)->mutable_spec()->mutable_allow(0)->set_ports(0, "tcp/0");
    list.mutable_items(1)->mutable_metadata()->set_name("p0");
    const auto loaded = load_text(list.SerializeAsString(), Format::protobuf);
    REQUIRE(loaded.diagnostics.size() == 2);
    CHECK(loaded.diagnostics[0].text() ==
          "p: error: items[1].spec.allow[0].ports[0]: port 0 is out of range; expected 1 to 65535");
    CHECK_THAT(loaded.diagnostics[1].text(),
               Contains("items[1].metadata.name: the name \"p0\" is taken by the policy at p"));
    CHECK(loaded.policies.size() == 1);
}

TEST_CASE("a binary field that is not known is refused, for it may be a restriction") {
    auto list = list_of(1);
    auto &rule = *list.mutable_items(0)->mutable_spec()->mutable_allow(0);
    rule.GetReflection()->MutableUnknownFields(&rule)->AddVarint(99, 1);
    CHECK_THAT(faults(load_text(list.SerializeAsString(), Format::protobuf)),
               Contains("fields that this version does not know"));
}

TEST_CASE("octets that are no such message are refused") {
    CHECK_THAT(faults(load_text("\x0a\xff\xff\xff\xff\x0f", Format::protobuf)),
               Contains("not a protobuf message"));
    CHECK_THAT(faults(load_text(document("  mode: audit"), Format::protobuf)),
               Contains("protobuf message") || Contains("does not know"));
}
