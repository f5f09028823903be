// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/selection.h"

#include <catch2/catch.hpp>

using namespace penstock;
using container::Selection;
using container::Standing;
using Kind = Standing::Kind;

namespace {

policy::Policy selecting(const std::string &name, std::initializer_list<const char *> cgroups) {
    policy::Policy policy;
    policy.name = name;
    for (const auto *cgroup : cgroups) {
        policy::Selector selector;
        selector.cgroup = cgroup;
        policy.select.push_back(selector);
    }
    return policy;
}

struct Row {
    const char *path;
    Kind kind;
    const char *container;
    std::vector<std::size_t> policies;
    std::uint16_t birth;
};

void check(const Selection &selection, std::initializer_list<Row> rows) {
    for (const auto &row : rows) {
        INFO(row.path);
        const auto standing = selection.standing(row.path);
        CHECK(standing.kind == row.kind);
        CHECK(standing.container == row.container);
        CHECK(standing.policies == row.policies);
        CHECK(standing.birth == row.birth);
    }
}

} // namespace

TEST_CASE("the topmost cgroup that a selector names is the container, with every policy that names it") {
    const Selection selection({selecting("a", {"/p.slice/**"}),
                               selecting("b", {"/p.slice/web", "/p.slice/w*"}),
                               selecting("c", {"/p.slice/web/inner"})},
                              "/", {});
    check(selection, {
                         {"/", Kind::outside, "", {}, 0},
                         {"/p.slice", Kind::outside, "", {}, 0},
                         {"/p.slice/x", Kind::selected, "/p.slice/x", {0}, 0},
                         {"/p.slice/web", Kind::selected, "/p.slice/web", {0, 1}, 0},
                         {"/p.slice/web/inner", Kind::inner, "/p.slice/web", {}, 0},
                         {"/other", Kind::outside, "", {}, 0},
                     });
}

TEST_CASE("wildcards pass over slices, an exact selector names one") {
    const Selection selection({selecting("wild", {"/**"}), selecting("exact", {"/b.slice"})}, "/", {});
    check(selection, {
                         {"/a.slice", Kind::outside, "", {}, 0},
                         {"/a.slice/x.scope", Kind::selected, "/a.slice/x.scope", {0}, 0},
                         {"/b.slice", Kind::selected, "/b.slice", {1}, 0},
                         {"/b.slice/x.scope", Kind::inner, "/b.slice", {}, 0},
                     });
}

TEST_CASE("nothing above the gate root is a container") {
    const Selection selection({selecting("all", {"/**"})}, "/gate", {});
    check(selection, {
                         {"/other", Kind::outside, "", {}, 0},
                         {"/gatekeeper", Kind::outside, "", {}, 0},
                         {"/gate", Kind::selected, "/gate", {0}, 0},
                     });
}

TEST_CASE("children of a strict root are containers from birth, selected or not") {
    container::BirthRules birth;
    birth.strict_roots = {{"/strict", abi::PS_POLICY_BIRTH_DENY}};
    birth.names = {{"docker-", abi::PS_POLICY_BIRTH_ALLOW}, {"docker-x", abi::PS_POLICY_BIRTH_AUDIT}};
    const Selection selection({selecting("a", {"/strict/web", "/strict/deep/below"})}, "/", birth);
    check(selection, {
                         {"/strict", Kind::strict_root, "/strict", {}, abi::PS_POLICY_BIRTH_DENY},
                         {"/strict/new", Kind::born, "/strict/new", {}, abi::PS_POLICY_BIRTH_DENY},
                         {"/strict/new/inner", Kind::inner, "/strict/new", {}, 0},
                         {"/strict/docker-1", Kind::born, "/strict/docker-1", {}, abi::PS_POLICY_BIRTH_DENY},
                         {"/strict/web", Kind::selected, "/strict/web", {0}, 0},
                         {"/strict/deep/below", Kind::selected, "/strict/deep/below", {0}, 0},
                         {"/x/docker-1", Kind::born, "/x/docker-1", {}, abi::PS_POLICY_BIRTH_ALLOW},
                         {"/x/docker-x1", Kind::born, "/x/docker-x1", {}, abi::PS_POLICY_BIRTH_AUDIT},
                         {"/x/docker-1/docker-2", Kind::inner, "/x/docker-1", {}, 0},
                     });
}

TEST_CASE("a selector with a field that is not built selects nothing and says so") {
    auto policy = selecting("later", {"/**"});
    policy.select[0].runtime = "docker";
    policy.select[0].labels = {{"role", "agent"}};
    const Selection selection({policy}, "/", {});
    CHECK(selection.standing("/a").kind == Kind::outside);
    const auto sentences = Selection::unbuilt(policy);
    REQUIRE(sentences.size() == 1);
    CHECK(sentences[0].find("spec.select[0]") != std::string::npos);
    CHECK(sentences[0].find("runtime, labels") != std::string::npos);
    CHECK(Selection::unbuilt(selecting("now", {"/a"})).empty());
}
