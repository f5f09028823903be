// SPDX-License-Identifier: Apache-2.0
// Limits in the kernel's maps: written before what names them, never changed in place, gone with their policy; and what a
// container has spent, which goes with its slot.
#include "tests/live/budgets_memory.h"

#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"
#include "userspace/sync/rows.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <set>

using namespace penstock;
using test::OwnCgroup;

namespace {

constexpr std::uint64_t second = 1'000'000'000;

policy::Policy agents(std::uint64_t rate, bool limited_rule = true) {
    policy::Policy policy;
    policy.name = "agents";
    for (const char *name : {"llm", "db"}) {
        policy::Rule rule;
        rule.name = name;
        rule.domains.push_back({policy::NamePattern::Kind::exact, std::string(name) + ".example.com"});
        policy.allow.push_back(rule);
    }
    policy.limits.egress = policy::Rate{rate, second, 0};
    if (limited_rule)
        policy.allow[0].limits.quota = policy::Quota{1 << 30, 86400};
    return policy;
}

sync::ImagePtr image_of(const policy::Policy &policy) {
    return std::make_shared<const policy::Image>(policy::compile({&policy}, {}));
}

// What the maps say for the policy's rule; all zero: nothing.
abi::ps_limits limits_of(const kernel::Maps &maps, std::uint16_t id, std::uint64_t rule) {
    const auto place = maps.limit_ids.lookup(sync::limits_key(id, rule)).value();
    return place ? maps.limits.lookup(*place).value().value() : abi::ps_limits{};
}
bool same(const abi::ps_limits &a, const abi::ps_limits &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

std::multiset<std::uint32_t> places(const kernel::Maps &maps) {
    std::multiset<std::uint32_t> found;
    REQUIRE(maps.limit_ids.for_each([&](const auto &, std::uint32_t place) { found.insert(place); }));
    return found;
}

// The kernel's memory of budgets, as the programs write it.
struct Budgets {
    kernel::MappedArray memory;

    explicit Budgets(const OwnCgroup &own) : memory(test::budgets_of(own)) {}
    abi::ps_budget &operator[](std::uint32_t index) const {
        return static_cast<abi::ps_budget *>(memory.data())[index];
    }
};

} // namespace

TEST_CASE("a policy's limits stand in the maps and go with it") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto &maps = gate->maps();
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto image = image_of(agents(10 << 20));
    const auto handle = writer->put(image);
    REQUIRE(handle);
    CHECK(maps.policies.lookup(handle->id).value()->limited ==
          (abi::PS_LIMITED_CONTAINER | abi::PS_LIMITED_RULES));
    const auto llm = policy::rule_id("agents", "llm"), db = policy::rule_id("agents", "db");
    CHECK(same(limits_of(maps, handle->id, 0), image->limits.at(0)));
    CHECK(same(limits_of(maps, handle->id, llm), image->limits.at(llm)));
    CHECK(limits_of(maps, handle->id, llm).quota_bytes == 1 << 30);
    CHECK_FALSE(maps.limit_ids.lookup(sync::limits_key(handle->id, db)).value());
    CHECK(places(maps).size() == 2);
    REQUIRE(writer->retire(*handle));
    CHECK(places(maps).empty());
}

TEST_CASE("other limits are never written in place: while both policies are there, each has its own") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto &maps = gate->maps();
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto slow = image_of(agents(1 << 20)), fast = image_of(agents(2 << 20));
    const auto first = writer->put(slow);
    REQUIRE(first);
    const auto second_policy = writer->change(*first, fast);
    REQUIRE(second_policy);
    CHECK(second_policy->id != first->id);
    CHECK(same(limits_of(maps, first->id, 0), slow->limits.at(0)));
    CHECK(same(limits_of(maps, second_policy->id, 0), fast->limits.at(0)));
    const auto taken = places(maps);
    CHECK(taken.size() == 4);
    CHECK(std::set(taken.begin(), taken.end()).size() == 4);

    // With equal limits one more domain is written in place, and the limits stay where they are.
    auto more = agents(2 << 20);
    more.allow[1].domains.push_back({policy::NamePattern::Kind::exact, "more.example.com"});
    const auto third = writer->change(*second_policy, image_of(more));
    REQUIRE(third);
    CHECK(third->id == second_policy->id);
    CHECK(places(maps) == taken);
    // Without those of a rule it is another policy, too.
    const auto fourth = writer->change(*third, image_of(agents(2 << 20, false)));
    REQUIRE(fourth);
    CHECK(fourth->id != third->id);
}

TEST_CASE("a restarted writer gives no place of limits twice, and clears those nobody wants") {
    OwnCgroup own;
    const auto kept_image = image_of(agents(1 << 20)), orphan_image = image_of(agents(2 << 20));
    sync::PolicyHandle kept;
    {
        auto gate = kernel::Gate::open(own.options());
        REQUIRE(gate);
        auto writer = sync::PolicyWriter::open(*gate);
        REQUIRE(writer);
        kept = writer->put(kept_image).value();
        REQUIRE(writer->put(orphan_image));
    }
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto &maps = gate->maps();
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    CHECK(writer->put(kept_image).value() == kept);
    const auto fresh = writer->put(image_of(agents(3 << 20)));
    REQUIRE(fresh);
    auto taken = places(maps);
    CHECK(taken.size() == 6);
    CHECK(std::set(taken.begin(), taken.end()).size() == 6);
    CHECK(same(limits_of(maps, kept.id, 0), kept_image->limits.at(0)));
    CHECK(writer->collect_garbage().value() == 1);
    CHECK(places(maps).size() == 4);
    REQUIRE(writer->retire(kept));
    REQUIRE(writer->retire(*fresh));
    CHECK(places(maps).empty());
}

TEST_CASE("without room for its limits a policy is refused and leaves nothing") {
    OwnCgroup own;
    auto options = own.options();
    const std::string map = GENERATE("limits", "limit_ids");
    options.max_entries[map] = 3;
    auto gate = kernel::Gate::open(options);
    REQUIRE(gate);
    auto &maps = gate->maps();
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto first = writer->put(image_of(agents(1 << 20)));
    REQUIRE(first);
    const auto taken = places(maps);
    const auto refused = writer->put(image_of(agents(2 << 20)));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("map " + map + " is full") != std::string::npos);
    CHECK(places(maps) == taken);
    REQUIRE(writer->retire(*first));
    CHECK(writer->put(image_of(agents(2 << 20))));
}

TEST_CASE("a freed slot gives its budgets back, cleared, and no other's") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto &maps = gate->maps();
    CHECK(maps.gate.read().next_budget == 0);
    sync::Rows rows(*gate);
    const auto child = own.make_child("c");
    const std::uint64_t id = cgroup_id(child).value();
    const auto row = rows.make(id, own.level(child), 0, 0);
    REQUIRE(row);
    const Budgets budgets(own);
    const abi::ps_budget_key of_container{0, row->slot, 0}, of_rule{7, row->slot, 0},
        of_other{7, row->slot + 1, 0};
    REQUIRE(maps.budget_ids.update(of_container, 3));
    REQUIRE(maps.budget_ids.update(of_rule, 5));
    REQUIRE(maps.budget_ids.update(of_other, 6));
    for (const std::uint32_t index : {3U, 5U, 6U}) {
        budgets[index].spent = PS_SPENT(2, 1000);
        budgets[index].full_ns[abi::PS_RATE_QUERIES] = 9;
        budgets[index].window[0] = PS_WINDOW(1, 0);
    }
    CHECK(PS_SPENT_OCTETS(maps.budgets.read(5).spent) == 1000);

    REQUIRE(rows.remove(id));
    REQUIRE(rows.free_slot(row->slot));
    CHECK_FALSE(maps.budget_ids.lookup(of_container).value());
    CHECK_FALSE(maps.budget_ids.lookup(of_rule).value());
    CHECK(maps.budget_ids.lookup(of_other).value() == 6U);
    const abi::ps_budget nothing{};
    CHECK(std::memcmp(&budgets[3], &nothing, sizeof nothing) == 0);
    CHECK(std::memcmp(&budgets[5], &nothing, sizeof nothing) == 0);
    CHECK(PS_SPENT_OCTETS(maps.budgets.read(6).spent) == 1000);
    std::set<std::uint32_t> free;
    while (const auto number = maps.free_budgets.pop().value())
        free.insert(*number);
    CHECK(free == std::set<std::uint32_t>{3, 5});
}

TEST_CASE("what was spent can be reset, and octets be granted for the window that is") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto &table = gate->maps().budgets;
    const Budgets budgets(own);
    CHECK_FALSE(table.grant(4, 100, 5 * second)); // nothing was counted yet: the quota is whole
    budgets[4].window[0] = PS_WINDOW(1, 10'000);
    budgets[4].spent = PS_SPENT(2, 1000);
    budgets[4].told = PS_SPENT(2, 100);
    budgets[4].full_ns[0] = 77;
    CHECK(table.grant(4, 100, 12 * second + 1));
    CHECK(table.read(4).granted == PS_SPENT(2, 100));
    CHECK(table.read(4).told == 0);
    CHECK(table.grant(4, 50, 12 * second + 2));
    CHECK(table.read(4).granted == PS_SPENT(2, 150));
    CHECK(table.grant(4, 50, 13 * second));
    CHECK(table.read(4).granted == PS_SPENT(3, 50));
    CHECK(table.grant(4, UINT64_MAX, 13 * second));
    CHECK(PS_SPENT_OCTETS(table.read(4).granted) == (1ULL << PS_SPENT_BITS) - 1);
    CHECK(kernel::BudgetTable::window(table.read(4), 9 * second)->tag == 0);
    table.reset(4);
    CHECK(table.read(4).spent == PS_SPENT(2, 0));
    CHECK(table.read(4).granted == 0);
    CHECK(table.read(4).full_ns[0] == 77);
    CHECK(table.read(4).window[0] == PS_WINDOW(1, 10'000));
    budgets[4].window[1] = PS_WINDOW(2, 11'000); // of another length now
    budgets[4].spent = PS_SPENT(PS_SPENT_TAG(1, 3), 70);
    CHECK(table.grant(4, 100, 18 * second));
    CHECK(table.read(4).granted == PS_SPENT(PS_SPENT_TAG(1, 3), 100));
    table.reset(4);
    CHECK(table.read(4).spent == PS_SPENT(PS_SPENT_TAG(1, 3), 0));
    table.reset(abi::PS_BUDGETS);
    CHECK(table.read(abi::PS_BUDGETS).spent == 0);
}

TEST_CASE("the gate says what a container may tell and count") {
    OwnCgroup own;
    const auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    const auto element = gate->maps().gate.read();
    CHECK(element.name_rows_per_slot == 256);
    CHECK(element.event_cost_ns == second / 100);
    CHECK(element.event_burst_ns / element.event_cost_ns == 1000);
}
