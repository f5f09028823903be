// SPDX-License-Identifier: Apache-2.0
// Rows and slots from birth to reuse.
#include "tests/live/own_cgroup.h"

#include "userspace/sync/policy_writer.h"
#include "userspace/sync/rows.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

using namespace penstock;
using test::OwnCgroup;
using test::soon;

namespace {

constexpr std::uint64_t some_binding = PS_BINDING(1, abi::PS_POLICY_BIRTH_ALLOW);

abi::ps_birth birth_deny() {
    abi::ps_birth value{};
    value.policy = abi::PS_POLICY_BIRTH_DENY;
    return value;
}

abi::ps_birth_key name_pattern(const std::string &text) {
    abi::ps_birth_key key{};
    key.prefixlen = static_cast<std::uint32_t>(8 + text.size() * 8);
    key.kind = abi::PS_BIRTH_NAME;
    std::copy(text.begin(), text.end(), key.text);
    return key;
}

template <class Map> std::size_t entries_of(const Map &map) {
    std::size_t n = 0;
    REQUIRE(map.for_each([&](const auto &, const auto &) { n++; }));
    return n;
}

bool births_are_seen(const kernel::Gate &gate) {
    return std::ranges::any_of(gate.features(), [](const kernel::Feature &feature) {
        return feature.name == "birth" && feature.state == kernel::Feature::State::on;
    });
}

} // namespace

TEST_CASE("a row is made once, and the second try finds the first") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    sync::Rows rows(*gate);
    const auto child = own.make_child("c");
    const std::uint64_t id = cgroup_id(child).value();
    const auto first = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE(first);
    CHECK(first->slot == abi::PS_SLOT_FIRST);
    CHECK(first->serial >= 1);
    const auto second = rows.make(id, own.level(child), abi::PS_ROW_STRICT_ROOT, 0);
    REQUIRE(second);
    CHECK(second->slot == first->slot);
    CHECK(second->serial == first->serial);
    CHECK(second->binding == some_binding);
    CHECK(second->row_flags == abi::PS_ROW_STRICT_ROOT);
    CHECK(gate->maps().gate.read().level_mask == 1U << own.level(child));
    CHECK(rows.all().value().size() == 1);
    CHECK_FALSE(rows.make(id, abi::PS_LEVELS, 0, 0));
}

TEST_CASE(
    "a container removed and released gives its slot back, clean, and the next tenant has another serial") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    auto &maps = gate->maps();
    sync::Rows rows(*gate);
    const auto child = own.make_child("c");
    const std::uint64_t id = cgroup_id(child).value();
    const auto row = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE(row);
    const std::uint32_t slot = row->slot;
    CHECK(rows.free_slot(slot).error().code == EBUSY);

    // What the programs would have left: a learned address in its ring, and counters of this slot and another.
    abi::ps_address_key address{};
    address.slot = slot;
    REQUIRE(maps.learned.update(address, {}));
    abi::ps_ring_entry entry{};
    std::memcpy(entry.key, &address, sizeof address);
    REQUIRE(maps.rings.update({slot, 0, abi::PS_RING_LEARNED}, entry));
    abi::ps_heads heads{};
    heads.head[abi::PS_RING_LEARNED] = 1;
    REQUIRE(maps.heads.update(slot, heads));

    if (births_are_seen(*gate)) {
        REQUIRE(::rmdir(child.c_str()) == 0);
        REQUIRE(soon([&] { return (rows.at(slot).slot_flags & abi::PS_SLOT_RELEASED) != 0; }));
        CHECK_FALSE(rows.find(id).value());
    } else {
        REQUIRE(rows.remove(id));
    }
    const auto released = rows.slots_with(abi::PS_SLOT_RELEASED);
    REQUIRE(released.size() == 1);
    CHECK(released[0].slot == slot);
    CHECK(released[0].serial == row->serial);
    REQUIRE(rows.free_slot(slot));
    CHECK(entries_of(maps.learned) == 0);
    CHECK(entries_of(maps.rings) == 0);
    CHECK(maps.heads.lookup(slot).value()->head[abi::PS_RING_LEARNED] == 0);
    CHECK(rows.at(slot).slot_flags == 0);
    CHECK(rows.at(slot).binding == 0);

    const auto next = own.make_child("d");
    const auto tenant = rows.make(cgroup_id(next).value(), own.level(next), 0, some_binding);
    REQUIRE(tenant);
    CHECK(tenant->slot == slot);
    CHECK(tenant->serial != row->serial);
}

TEST_CASE("a row that dies too long points to the slot that denies, and its own slot can be freed") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    sync::Rows rows(*gate);
    const auto child = own.make_child("c");
    const std::uint64_t id = cgroup_id(child).value();
    const auto row = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE(row);
    REQUIRE(rows.point_to_gone(*row));
    const auto now = rows.find(id);
    REQUIRE(now);
    REQUIRE(*now);
    CHECK((*now)->slot == abi::PS_SLOT_GONE);
    CHECK((*now)->binding == 0);
    CHECK(rows.free_slot(row->slot));
    CHECK_FALSE(rows.free_slot(abi::PS_SLOT_GONE));
}

TEST_CASE("a cgroup whose name matches is born with a row, and the daemon takes that row over") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    if (!births_are_seen(*gate)) {
        WARN("this kernel refuses the birth programs");
        return;
    }
    REQUIRE(gate->maps().birth.update(name_pattern("docker-"), birth_deny()));
    sync::Rows rows(*gate);
    const auto child = own.make_child("docker-0123.scope");
    const std::uint64_t id = cgroup_id(child).value();
    const auto born = rows.find(id);
    REQUIRE(born);
    REQUIRE(*born);
    CHECK((*born)->slot >= abi::PS_SLOT_FIRST);
    CHECK((*born)->slot_flags == (abi::PS_SLOT_USED | abi::PS_SLOT_BORN));
    CHECK(PS_BINDING_POLICY((*born)->binding) == abi::PS_POLICY_BIRTH_DENY);
    CHECK((gate->maps().gate.read().level_mask & (1U << own.level(child))) != 0);

    const auto taken = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE(taken);
    CHECK(taken->slot == (*born)->slot);
    CHECK(taken->serial == (*born)->serial);
    CHECK(rows.all().value().size() == 1);

    own.make_child("ordinary");
    CHECK(rows.all().value().size() == 1);

    auto events = gate->open_events();
    REQUIRE(events);
    std::vector<std::uint64_t> told;
    REQUIRE(soon([&] {
        REQUIRE(events->consume([&](const abi::ps_event &event) {
            if (event.kind == abi::PS_EVENT_BORN && event.slot == taken->slot)
                told.push_back(event.cgroup_id);
        }));
        return !told.empty();
    }));
    CHECK(told == std::vector<std::uint64_t>{id});
}

TEST_CASE("after a restart a born cgroup is not given two rows, and a slot no row names is found") {
    OwnCgroup own;
    { REQUIRE(kernel::Gate::open(own.options())); }
    auto gate = kernel::Gate::open(own.options()); // the birth programs were replaced, not doubled
    REQUIRE(gate);
    sync::Rows rows(*gate);
    if (births_are_seen(*gate)) {
        REQUIRE(gate->maps().birth.update(name_pattern("docker-"), birth_deny()));
        own.make_child("docker-1.scope");
        CHECK(rows.slots_with(abi::PS_SLOT_USED).size() == 1);
        CHECK(rows.all().value().size() == 1);
    }
    abi::ps_slot half{};
    half.flags = abi::PS_SLOT_USED;
    half.cgroup_id = 4711;
    half.born_ns = 1;
    const auto slot = gate->maps().free_slots.pop();
    REQUIRE(slot);
    gate->maps().slots.fill(**slot, half);
    CHECK(rows.release_lost().value() == 1);
    CHECK(rows.release_lost().value() == 0);
    CHECK((rows.at(**slot).slot_flags & abi::PS_SLOT_RELEASED) != 0);
    CHECK(rows.free_slot(**slot));
}

TEST_CASE("without a free slot a container gets the row that denies, not none") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    sync::Rows rows(*gate);
    while (gate->maps().free_slots.pop().value()) {
    }
    const auto child = own.make_child("c");
    const std::uint64_t id = cgroup_id(child).value();
    const auto made = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ENOSPC);
    const auto row = rows.find(id);
    REQUIRE((row && *row));
    CHECK((*row)->slot == abi::PS_SLOT_OVERFLOW);
    CHECK((*row)->binding == 0); // unbound: denies
}

TEST_CASE("a cgroup that has a row keeps it, also without a free slot, and takes nothing") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    sync::Rows rows(*gate);
    const auto child = own.make_child("c");
    const std::uint64_t id = cgroup_id(child).value();
    const auto first = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE(first);
    const auto serial = gate->maps().gate.read().next_serial;
    const auto again = rows.make(id, own.level(child), 0, some_binding);
    REQUIRE(again);
    CHECK(again->serial == first->serial);
    CHECK(gate->maps().gate.read().next_serial == serial);
    while (gate->maps().free_slots.pop().value()) {
    }
    const auto full = rows.make(id, own.level(child), abi::PS_ROW_STRICT_ROOT, some_binding);
    REQUIRE(full); // so that a change of policy reaches it
    CHECK(full->slot == first->slot);
    CHECK(full->serial == first->serial);
    CHECK(full->row_flags == abi::PS_ROW_STRICT_ROOT);
}

TEST_CASE("a row that was made without a free slot gets its own as soon as one is free") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    REQUIRE(gate->maps().birth.update(name_pattern("docker-"), birth_deny()));
    sync::Rows rows(*gate);
    std::vector<std::uint32_t> taken;
    for (auto slot = gate->maps().free_slots.pop(); slot.value(); slot = gate->maps().free_slots.pop())
        taken.push_back(**slot);
    const auto child = own.make_child("docker-late.scope"); // the birth program's row, where it loads
    const std::uint64_t id = cgroup_id(child).value();
    CHECK(rows.make(id, own.level(child), 0, some_binding).error().code == ENOSPC);
    CHECK(rows.make(id, own.level(child), 0, some_binding).error().code == ENOSPC);
    REQUIRE(gate->maps().free_slots.push(taken.front()));
    const auto row = rows.make(id, own.level(child), abi::PS_ROW_STRICT_ROOT, some_binding);
    REQUIRE(row);
    CHECK(row->slot == taken.front());
    CHECK(row->binding == some_binding);
    CHECK(row->cgroup_id == id);
    const auto found = rows.find(id);
    REQUIRE((found && *found));
    CHECK((*found)->slot == taken.front());
    CHECK((*found)->row_flags == abi::PS_ROW_STRICT_ROOT);
    CHECK(rows.all().value().size() == 1);
    CHECK_FALSE(gate->maps().free_slots.pop().value());
}
