// SPDX-License-Identifier: Apache-2.0
// Policies in the kernel's maps: written whole or not at all, adopted, changed in place, cleaned up.
#include "tests/live/own_cgroup.h"

#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"
#include "userspace/sync/rows.h"

#include <catch2/catch.hpp>
#include <chrono>

using namespace penstock;
using test::OwnCgroup;

namespace {

policy::Rule allow(const std::string &name, const std::vector<std::string> &domains, std::uint16_t port) {
    policy::Rule rule;
    rule.name = name;
    for (const std::string &domain : domains)
        rule.domains.push_back({policy::NamePattern::Kind::exact, domain});
    rule.ports.push_back({policy::Protocol::tcp, port, port});
    return rule;
}

policy::Policy agents(const std::vector<std::string> &domains, std::uint16_t port = 443) {
    policy::Policy policy;
    policy.name = "agents";
    policy.allow.push_back(allow("llm", domains, port));
    policy.allow.push_back(allow("db", {}, 5432));
    policy.allow.back().cidrs = {*policy::Cidr::parse("10.1.0.0/16"), *policy::Cidr::parse("2001:db8::/32")};
    return policy;
}

sync::ImagePtr image_of(const policy::Policy &policy) {
    policy::Environment environment;
    environment.resolvers = {*policy::Address::parse("10.0.0.2")};
    return std::make_shared<const policy::Image>(policy::compile({&policy}, environment));
}

std::string reversed(const std::string &name) {
    return std::string(name.rbegin(), name.rend()) + '\0';
}

struct Counts {
    std::size_t names = 0, cidrs = 0, ports = 0, resolvers = 0, policies = 0;
    bool operator==(const Counts &) const = default;
};

template <class Map> std::size_t size_of(const Map &map) {
    std::size_t n = 0;
    REQUIRE(map.for_each([&](const auto &, const auto &) { n++; }));
    return n;
}

Counts count(const kernel::Maps &maps) {
    Counts counts{size_of(maps.names), size_of(maps.cidrs4) + size_of(maps.cidrs6), size_of(maps.ports),
                  size_of(maps.resolvers), 0};
    REQUIRE(maps.policies.for_each([&](kernel::Id id, const abi::ps_policy &policy) {
        counts.policies += id >= abi::PS_POLICY_FIRST && policy.generation != 0;
    }));
    return counts;
}

bool has_name(const kernel::Maps &maps, std::uint16_t id, const std::string &name) {
    const auto found = maps.names.lookup(sync::name_key(id, reversed(name)));
    REQUIRE(found);
    return found->has_value();
}

std::vector<std::string> many(std::size_t n) {
    std::vector<std::string> domains;
    for (std::size_t i = 0; i < n; i++)
        domains.push_back("host-" + std::to_string(i * 7919 % 1000003) + ".service.example-" +
                          std::to_string(i % 977) + ".com");
    return domains;
}

double milliseconds(std::chrono::steady_clock::time_point since) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - since).count();
}

} // namespace

TEST_CASE("a policy is written, bound, adopted by hash, and leaves nothing when it is retired") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const Counts empty = count(gate->maps());

    const auto image = image_of(agents({"api.example.com", "www.example.com"}));
    const auto handle = writer->put(image);
    REQUIRE(handle);
    CHECK(handle->id >= abi::PS_POLICY_FIRST);
    CHECK(has_name(gate->maps(), handle->id, "api.example.com"));
    CHECK_FALSE(has_name(gate->maps(), handle->id, "other.example.com"));
    CHECK(count(gate->maps()).names == 2);
    CHECK(count(gate->maps()).cidrs == 2);
    CHECK(count(gate->maps()).resolvers == 1);
    const auto element = gate->maps().policies.lookup(handle->id);
    REQUIRE(element);
    REQUIRE(*element);
    CHECK((*element)->content_hash == image->settings.content_hash);
    CHECK((*element)->generation == handle->generation);
    CHECK((*element)->mode == abi::PS_MODE_ENFORCE);

    const auto before = writer->entries_written();
    const auto same = writer->put(image_of(agents({"www.example.com", "api.example.com"})));
    REQUIRE(same);
    CHECK(*same == *handle);
    CHECK(writer->entries_written() == before);

    const auto child = own.make_child("c");
    sync::Rows rows(*gate);
    const auto row = rows.make(cgroup_id(child).value(), own.level(child), 0, handle->binding());
    REQUIRE(row);
    CHECK(writer->retire(*handle).error().code == EBUSY);
    CHECK(has_name(gate->maps(), handle->id, "api.example.com"));

    writer->bind(row->slot, writer->birth(abi::PS_POLICY_BIRTH_DENY).value());
    CHECK(PS_BINDING_POLICY(rows.at(row->slot).binding) == abi::PS_POLICY_BIRTH_DENY);
    REQUIRE(writer->retire(*handle));
    CHECK(count(gate->maps()) == empty);
}

TEST_CASE("a restarted writer adopts by hash, never gives a generation twice, and clears what nobody wants") {
    OwnCgroup own;
    sync::PolicyHandle kept, orphan;
    const auto image = image_of(agents({"api.example.com"}));
    const auto unwanted = image_of(agents({"old.example.com"}, 80));
    {
        auto gate = kernel::Gate::open(own.options());
        REQUIRE(gate);
        auto writer = sync::PolicyWriter::open(*gate);
        REQUIRE(writer);
        kept = writer->put(image).value();
        orphan = writer->put(unwanted).value();
        // A daemon that died while it wrote: keys of an id whose element says "begun".
        abi::ps_policy begun{};
        begun.generation = orphan.generation;
        REQUIRE(gate->maps().policies.update(60, begun));
        REQUIRE(gate->maps().names.update(sync::name_key(60, reversed("half.example.com")), {}));
    }
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    CHECK(writer->find(image->settings.content_hash) == kept);
    const auto adopted = writer->put(image);
    REQUIRE(adopted);
    CHECK(*adopted == kept);
    CHECK(writer->entries_written() == 0);
    const auto cleared = writer->collect_garbage();
    REQUIRE(cleared);
    CHECK(*cleared == 2);
    CHECK(has_name(gate->maps(), kept.id, "api.example.com"));
    CHECK(count(gate->maps()).names == 1);
    CHECK(count(gate->maps()).policies == 1);
    const auto fresh = writer->put(unwanted);
    REQUIRE(fresh);
    CHECK(fresh->generation > orphan.generation);
    REQUIRE(writer->retire(*fresh));
    REQUIRE(writer->retire(kept));
    CHECK(count(gate->maps()) == Counts{});
}

TEST_CASE("a full map refuses the policy, names the map, and leaves the old policy whole") {
    OwnCgroup own;
    auto options = own.options();
    std::string map;
    SECTION("names") {
        map = "names";
        options.max_entries[map] = 12;
    }
    SECTION("resolvers") {
        map = "resolvers";
        options.max_entries[map] = 1;
    }
    SECTION("cidrs4") {
        map = "cidrs4";
        options.max_entries[map] = 1;
    }
    SECTION("ports") {
        map = "ports";
        options.max_entries[map] = 2;
    }
    INFO("map " << map);
    auto gate = kernel::Gate::open(options);
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto old = writer->put(image_of(agents({"api.example.com"})));
    REQUIRE(old);
    const Counts before = count(gate->maps());

    const auto refused = writer->put(image_of(agents(many(20), 8443)));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("map " + map + " is full") != std::string::npos);
    CHECK(refused.error().message.find("agents") != std::string::npos);
    CHECK((refused.error().code == ENOSPC || refused.error().code == E2BIG));
    CHECK(count(gate->maps()) == before);
    CHECK(writer->find(image_of(agents({"api.example.com"}))->settings.content_hash) == *old);
    // And it still writes what fits.
    if (map == "names") {
        const auto fits = writer->put(image_of(agents({"b.example.com"})));
        CHECK(fits);
    }
}

TEST_CASE("one domain more or less is written in place and rebinds the slots") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto child = own.make_child("c");
    sync::Rows rows(*gate);
    const auto first = writer->put(image_of(agents({"a.example.com", "b.example.com"})));
    REQUIRE(first);
    const auto row = rows.make(cgroup_id(child).value(), own.level(child), 0, first->binding());
    REQUIRE(row);

    auto before = writer->entries_written();
    const auto more =
        writer->change(*first, image_of(agents({"a.example.com", "b.example.com", "c.example.com"})));
    REQUIRE(more);
    CHECK(more->id == first->id);
    CHECK(more->generation > first->generation);
    CHECK(rows.at(row->slot).binding == more->binding());
    CHECK(writer->entries_written() - before <= 4);
    CHECK(has_name(gate->maps(), more->id, "c.example.com"));

    const auto less = writer->change(*more, image_of(agents({"a.example.com"})));
    REQUIRE(less);
    CHECK(less->id == first->id);
    CHECK(count(gate->maps()).names == 1);
    CHECK(rows.at(row->slot).binding == less->binding());

    // One goes, another comes: no single way, so a policy of its own.
    const auto other = writer->change(*less, image_of(agents({"z.example.com"})));
    REQUIRE(other);
    CHECK(other->id != less->id);
    CHECK(rows.at(row->slot).binding == less->binding());
    CHECK(has_name(gate->maps(), less->id, "a.example.com"));
    CHECK_FALSE(has_name(gate->maps(), other->id, "a.example.com"));
}

TEST_CASE("an in-place change that does not fit is undone") {
    OwnCgroup own;
    auto options = own.options();
    options.max_entries["names"] = 4;
    auto gate = kernel::Gate::open(options);
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    const auto image = image_of(agents({"a.example.com", "b.example.com"}));
    const auto first = writer->put(image);
    REQUIRE(first);
    const Counts before = count(gate->maps());
    const auto refused =
        writer->change(*first, image_of(agents({"a.example.com", "b.example.com", "c.example.com",
                                                "d.example.com", "e.example.com"})));
    REQUIRE_FALSE(refused);
    CHECK(count(gate->maps()) == before);
    CHECK(writer->find(image->settings.content_hash) == *first);
    const auto element = gate->maps().policies.lookup(first->id);
    REQUIRE(element);
    CHECK((*element)->content_hash == image->settings.content_hash);
}

TEST_CASE("100,000 domains are written in under 2 s, and one more in a handful of writes") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto writer = sync::PolicyWriter::open(*gate);
    REQUIRE(writer);
    auto domains = many(100'000);
    const auto image = image_of(agents(domains));
    auto start = std::chrono::steady_clock::now();
    const auto first = writer->put(image);
    const double whole = milliseconds(start);
    REQUIRE(first);
    domains.push_back("one.more.example.com");
    const auto bigger = image_of(agents(domains));
    const auto before = writer->entries_written();
    start = std::chrono::steady_clock::now();
    const auto second = writer->change(*first, bigger);
    const double one = milliseconds(start);
    REQUIRE(second);
    CHECK(second->id == first->id);
    CHECK(writer->entries_written() - before <= 4);
    start = std::chrono::steady_clock::now();
    REQUIRE(writer->retire(*second));
    const double gone = milliseconds(start);
    WARN("100,000 domains: put " << whole << " ms, one more " << one << " ms, retire " << gone << " ms");
    CHECK(whole < 2000);
}
