// SPDX-License-Identifier: Apache-2.0
// Counter rows of names, filled here as the programs fill them: idle ones make room, and every sum stays what it was.
#include "tests/catch_result.h"
#include "tests/live/own_cgroup.h"

#include "userspace/base/unique_fd.h"
#include "userspace/sync/name_rows.h"

#include <catch2/catch.hpp>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

using namespace penstock;
using test::OwnCgroup;

namespace {

constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint32_t slot = 7, room = 16;

struct World {
    World() : gate(kernel::Gate::open(small(own))) { REQUIRE(gate); }
    static kernel::GateOptions small(const OwnCgroup &own) {
        auto options = own.options();
        options.name_rows_per_slot = room;
        return options;
    }
    UniqueFd open(const char *map) const {
        const std::string pin = own.options().bpffs / "maps" / map;
        bpf_attr attr{};
        attr.pathname = reinterpret_cast<std::uintptr_t>(pin.c_str());
        UniqueFd fd(static_cast<int>(::syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof attr)));
        REQUIRE(fd);
        return fd;
    }
    template <class Key, class Value> void put(const char *map, const Key &key, const Value *value) const {
        const UniqueFd fd = open(map);
        bpf_attr attr{};
        attr.map_fd = static_cast<__u32>(fd.get());
        attr.key = reinterpret_cast<std::uintptr_t>(&key);
        attr.value = reinterpret_cast<std::uintptr_t>(value);
        REQUIRE(::syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof attr) == 0);
    }
    static abi::ps_counter_key key(std::uint64_t name) {
        return {9, name, slot, abi::PS_EGRESS, abi::PS_ALLOW, abi::PS_R_LEARNED, 0};
    }
    // A row of so many packets of 100 octets, half of them on another CPU than the rest.
    void count(std::uint64_t name, std::uint64_t packets) {
        const std::uint32_t cell = static_cast<std::uint32_t>(name);
        put("counters", key(name), &cell);
        std::vector<abi::ps_counter> each(1024); // more than there are CPUs
        each[0] = {packets - packets / 2, (packets - packets / 2) * 100};
        each[1] = {packets / 2, packets / 2 * 100};
        put("cells", cell, each.data());
    }
    std::uint64_t packets(std::uint64_t name) {
        const auto sum = gate->maps().counters.lookup(key(name)).value();
        return sum ? sum->packets : 0;
    }
    std::pair<std::uint64_t, std::uint64_t> sums() {
        std::pair<std::uint64_t, std::uint64_t> all;
        REQUIRE(gate->maps().counters.for_each([&](const auto &, const abi::ps_counter &sum) {
            all.first += sum.packets;
            all.second += sum.bytes;
        }));
        return all;
    }
    std::uint32_t recount() const { return gate->maps().slots.read(slot).recount; }

    OwnCgroup own;
    Result<kernel::Gate> gate;
};

} // namespace

TEST_CASE("names that are idle go to \"other\" before the room is taken, and no sum changes") {
    World world;
    sync::NameRows names(*world.gate);
    std::uint64_t all = 0;
    for (std::uint64_t n = 0; n < room - 2; ++n) {
        world.count(1000 + n, 10 + n);
        all += 10 + n;
    }
    CHECK_FALSE(names.round(10 * second).value()); // none is known to be idle yet
    for (std::uint64_t n = 0; n < 4; ++n)          // the first four are at work
        world.count(1000 + n, 50 + n), all += 40;
    REQUIRE(names.round(20 * second).value());
    CHECK(world.sums() == std::pair(all, all * 100)); // under other keys
    CHECK(world.recount() == room - 2 - room / 2);
    CHECK(world.packets(abi::PS_NAME_OTHER) == 0);
    REQUIRE(names.round(21 * second).value()); // folded
    CHECK(world.sums() == std::pair(all, all * 100));
    for (std::uint64_t n = 0; n < 4; ++n)
        CHECK(world.packets(1000 + n) == 50 + n);
    // Of the idle ones those that carried least are gone.
    std::uint64_t other = 0;
    for (std::uint64_t n = 4; n < 4 + room - 2 - room / 2; ++n) {
        CHECK(world.packets(1000 + n) == 0);
        other += 10 + n;
    }
    CHECK(world.packets(1000 + room - 3) == 10 + room - 3);
    CHECK(world.packets(abi::PS_NAME_OTHER) == other);
    CHECK_FALSE(names.round(22 * second).value());
    // Their cells are whole again, and free.
    CHECK(world.gate->maps().free_cells.pop().value().has_value());
}

TEST_CASE("a row that came again while it was retired keeps what is new apart until it is folded") {
    World world;
    world.count(1000, 10);
    const auto &counters = world.gate->maps().counters;
    REQUIRE(counters.retire(World::key(1000), 3).value());
    CHECK_FALSE(counters.retire(World::key(1000), 4).value()); // there is none any more
    const std::uint32_t cell = 2000;
    world.put("counters", World::key(1000), &cell);
    CHECK_FALSE(counters.retire(World::key(1000), 3).value()); // the number is taken: the row stays
    CHECK(counters.lookup(World::key(1000)).value().has_value());
    REQUIRE(counters.fold(World::key(abi::PS_NAME_RETIRING + 3)).value());
    CHECK_FALSE(counters.fold(World::key(abi::PS_NAME_RETIRING + 3)).value());
    CHECK(world.packets(abi::PS_NAME_OTHER) == 10);
    CHECK_FALSE(counters.retire(World::key(1000), abi::PS_NAMES_RETIRING).value());
}

TEST_CASE("what a daemon retired before it died is folded by the next") {
    World world;
    world.count(1000, 10);
    REQUIRE(world.gate->maps().counters.retire(World::key(1000), 0).value());
    sync::NameRows names(*world.gate);
    CHECK(names.round(second).value());
    CHECK(world.packets(abi::PS_NAME_OTHER) == 10);
    CHECK(world.sums() == std::pair<std::uint64_t, std::uint64_t>(10, 1000));
}
