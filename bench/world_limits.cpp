// SPDX-License-Identifier: Apache-2.0
// The policies with limits, and budgets of others beside ours.
#include "bench/world.h"

#include "policy/compile.h"
#include "tests/differential/kernel_budgets.h"

#include <bpf/bpf.h>

#include <iterator>

namespace penstock::bench {

using namespace penstock::differential;

namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;
constexpr std::uint32_t kept_budgets = 1200; // ours, of all policies here, and made first
constexpr const char *name_of_rules = "limited-rules-";

enum Kinds { egress = 1, ingress = 2, packets = 4, quota = 8, all = 15 };

// So large that no packet of a benchmark is over them; but a rate of octets that a socket can still be paced by.
policy::Limits limits(int kinds) {
    policy::Limits made;
    const policy::Rate octets{1ULL << 32, ns_per_s, 1ULL << 40},
        count{1'000'000'000, ns_per_s, 1'000'000'000};
    if (kinds & egress)
        made.egress = octets;
    if (kinds & ingress)
        made.ingress = octets;
    if (kinds & packets)
        made.packets = count;
    if (kinds & quota)
        made.quota = policy::Quota{1ULL << 47, 86400};
    if (kinds == all)
        made.connections = made.queries = count;
    return made;
}

policy::Rule rule(const char *name, int limited) {
    policy::Rule made;
    made.name = name;
    made.ports = {{policy::Protocol::tcp, 443, 443}, {policy::Protocol::udp, 443, 443}};
    made.limits = limits(limited);
    return made;
}

policy::Image compiled(const policy::Policy &policy) {
    policy::Environment environment;
    environment.resolvers = {address("192.168.77.1")};
    return policy::compile({&policy}, environment);
}

// Kinds of the container's limits and of the rule's; by a learned name or by a CIDR; with a flow log.
struct Recipe {
    World::Limited about;
    int container, by_rule;
    bool by_name = false, logs_flows = false;
};
const std::vector<Recipe> recipes{
    {{"none"}, 0, 0},
    {{"egress rate of the container"}, egress, 0},
    {{"packet rate of the container"}, packets, 0},
    {{"quota of the container"}, quota, 0},
    {{"all of the container"}, all, 0},
    {{"all of container and rule"}, all, all},
    {{"none, counted by learned name"}, 0, 0, true},
    {{"all of container and rule, counted by learned name", true}, all, all, true},
    {{"none, flow log"}, 0, 0, false, true},
    {{"all of container and rule, counted by learned name, flow log", true}, all, all, true, true},
};

policy::Image image_of(const Recipe &recipe) {
    policy::Policy made;
    made.name = "limited";
    made.limits = limits(recipe.container);
    made.logs_flows = recipe.logs_flows;
    auto only = rule("only", recipe.by_rule);
    if (recipe.by_name)
        only.domains = {{policy::NamePattern::Kind::exact, "limited.bench.example"}};
    else
        only.cidrs = {*policy::Cidr::parse("198.51.100.0/24")};
    made.allow = {only};
    return compiled(made);
}

policy::Policy policy_of_rules(int rules) {
    policy::Policy made;
    made.name = name_of_rules + std::to_string(rules);
    made.limits = limits(all);
    for (int i = 0; i < rules; ++i) {
        auto each = rule("only", all);
        each.name = "r" + std::to_string(i);
        each.cidrs = {{limited_rule_ends(i).to, 128}};
        made.allow.push_back(each);
    }
    return made;
}

KernelGate::PolicyId id_of_kind(std::size_t place) {
    return static_cast<KernelGate::PolicyId>(abi::PS_POLICY_FIRST + std::size(sizes) + place);
}
KernelGate::PolicyId id_of_rules(int rules) {
    return id_of_kind(recipes.size() + (rules == 1 ? 0 : 1));
}

// Of the container, then of each rule.
std::vector<std::uint64_t> limited_ids(int rules) {
    std::vector<std::uint64_t> ids{0};
    for (int i = 0; i < rules; ++i)
        ids.push_back(policy::rule_id(name_of_rules + std::to_string(rules), "r" + std::to_string(i)));
    return ids;
}

} // namespace

Ends limited_rule_ends(int place) {
    auto ends = v4_ends("203.0.0.0", 443);
    ends.to.octets[14] = static_cast<std::uint8_t>(place / 256);
    ends.to.octets[15] = static_cast<std::uint8_t>(place % 256);
    return ends;
}

const std::vector<World::Limited> &World::limited() {
    static const auto all_of_them = [] {
        std::vector<Limited> made;
        made.reserve(recipes.size());
        for (const auto &recipe : recipes)
            made.push_back(recipe.about);
        return made;
    }();
    return all_of_them;
}

void World::write_limited() {
    KernelBudgets budgets(gate_);
    const auto write = [&](KernelGate::PolicyId id, const policy::Image &image) {
        gate_.write(id, image);
        budgets.write(id, image);
    };
    for (std::size_t i = 0; i < recipes.size(); ++i)
        write(id_of_kind(i), image_of(recipes[i]));
    budgets.set(policy::rule_id("limited", "only"), {});
    for (const int rules : {1, many_rules}) {
        write(id_of_rules(rules), compiled(policy_of_rules(rules)));
        for (const auto id : limited_ids(rules))
            budgets.set(id, {});
    }
}

void World::bind_limited(std::size_t place) {
    gate_.bind(id_of_kind(place));
    if (recipes[place].by_name)
        teach("limited.bench.example", {address("198.51.100.7")});
}

void World::bind_limited_rules(int rules) {
    gate_.bind(id_of_rules(rules));
}

void World::add_budgets(std::uint32_t containers, int rules) {
    const auto ids = limited_ids(rules);
    change_gate([](auto &gate) { gate.next_budget = kept_budgets; });
    for (std::uint32_t i = 0; i < containers; ++i) {
        KernelBudgets budgets(gate_, KernelGate::slot + 1 + i);
        for (const auto id : ids)
            budgets.set(id, {});
    }
}

void World::remove_budgets(std::uint32_t containers, int rules) {
    const int ids = gate_.map("budget_ids");
    for (std::uint32_t i = 0; i < containers; ++i)
        for (const auto id : limited_ids(rules)) {
            abi::ps_budget_key key{};
            key.rule = id;
            key.slot = KernelGate::slot + 1 + i;
            bpf_map_delete_elem(ids, &key);
        }
    change_gate([](auto &gate) { gate.next_budget = kept_budgets; });
}

} // namespace penstock::bench
