// SPDX-License-Identifier: Apache-2.0
// Dead rows of learned state go, living ones and other keys' places stay.
#include "tests/live/own_cgroup.h"

#include "userspace/base/clock.h"
#include "userspace/sync/stale.h"

#include <catch2/catch.hpp>
#include <cstring>

using namespace penstock;
using test::OwnCgroup;

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t now = 1'000'000 * second_ns;

template <class Key> abi::ps_ring_entry entry_of(const Key &key) {
    abi::ps_ring_entry entry{};
    std::memcpy(entry.key, &key, sizeof key);
    return entry;
}

// `age` is that of the query: sent so long ago.
abi::ps_query_key add_query(const kernel::Maps &maps, std::uint16_t id, std::uint64_t age,
                            std::uint32_t place) {
    abi::ps_query_key key{};
    key.slot = 5;
    key.id = id;
    abi::ps_query query{};
    query.sent_ns = now - age;
    query.ring_position = place;
    REQUIRE(maps.queries.update(key, query));
    REQUIRE(maps.rings.update({5, place, abi::PS_RING_QUERIES}, entry_of(key)));
    return key;
}

abi::ps_address_key add_learned(const kernel::Maps &maps, std::uint8_t last, std::uint64_t expired_since) {
    abi::ps_address_key key{};
    key.slot = 5;
    key.address[15] = last;
    abi::ps_learned row{};
    row.ring_position = last;
    row.names[0].name_hash = 1;
    row.names[0].expires_ns = 5;
    row.names[3].name_hash = 2;
    row.names[3].expires_ns = now - expired_since;
    REQUIRE(maps.learned.update(key, row));
    return key;
}

std::size_t sweep_all(kernel::Gate &gate) {
    sync::StaleRows round(gate);
    for (int slices = 0; slices < 1000; slices++) {
        const auto done = round.sweep_slice(now);
        REQUIRE(done);
        if (*done)
            return round.erased();
    }
    FAIL("a round without end");
    return 0;
}

} // namespace

TEST_CASE("queries, UDP peers and learned addresses go when time has made them useless") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    const kernel::Maps &maps = gate->maps();
    const auto old_query = add_query(maps, 1, 61 * second_ns, 0);
    const auto young_query = add_query(maps, 2, 59 * second_ns, 1);
    abi::ps_udp_peer_key old_peer{}, young_peer{};
    old_peer.local_port = 1;
    young_peer.local_port = 2;
    abi::ps_udp_peer peer{};
    peer.last_ns = now - 601 * second_ns;
    REQUIRE(maps.udp_peers.update(old_peer, peer));
    peer.last_ns = now - 599 * second_ns;
    REQUIRE(maps.udp_peers.update(young_peer, peer));
    const auto old_address = add_learned(maps, 1, 86401 * second_ns);
    const auto young_address = add_learned(maps, 2, 86399 * second_ns);

    CHECK(sweep_all(*gate) == 3);
    CHECK_FALSE(maps.queries.lookup(old_query).value());
    CHECK(maps.queries.lookup(young_query).value());
    CHECK_FALSE(maps.udp_peers.lookup(old_peer).value());
    CHECK(maps.udp_peers.lookup(young_peer).value());
    CHECK_FALSE(maps.learned.lookup(old_address).value());
    CHECK(maps.learned.lookup(young_address).value());
    CHECK_FALSE(maps.rings.lookup({5, 0, abi::PS_RING_QUERIES}).value());
    CHECK(maps.rings.lookup({5, 1, abi::PS_RING_QUERIES}).value());
    CHECK(sweep_all(*gate) == 0);
}

TEST_CASE("a place that another key has taken since stays that key's") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    const kernel::Maps &maps = gate->maps();
    add_query(maps, 1, 100 * second_ns, 7);
    const auto newer = add_query(maps, 2, 1 * second_ns, 7);
    CHECK(sweep_all(*gate) == 1);
    const auto place = maps.rings.lookup({5, 7, abi::PS_RING_QUERIES}).value();
    REQUIRE(place);
    CHECK(std::memcmp(place->key, entry_of(newer).key, sizeof place->key) == 0);
}

TEST_CASE("a walk in slices sees every row of a large map once") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    for (std::uint16_t id = 0; id < 5000; id++)
        add_query(gate->maps(), id, 61 * second_ns, id);
    CHECK(sweep_all(*gate) == 5000);
    std::size_t left = 0;
    REQUIRE(gate->maps().rings.for_each([&](const auto &, const auto &) { left++; }));
    CHECK(left == 0);
}
