// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/stale.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace penstock::sync {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t query_kept_ns = 60 * second_ns;     // twice as long as an answer may take
constexpr std::uint64_t udp_peer_kept_ns = 600 * second_ns; // five times as long as it gives any right
constexpr std::uint64_t learned_kept_ns =
    86400 * second_ns; // a flow that is open is judged by its name all the same

bool is_older(std::uint64_t then, std::uint64_t age, std::uint64_t now) {
    return then + age <= now;
}

} // namespace

Result<bool> StaleRows::sweep_slice(std::uint64_t now) {
    Result<void> done;
    switch (map_) {
    case 0:
        done = sweep(maps_->queries, abi::PS_RING_QUERIES, [now](const abi::ps_query &query) {
            return is_older(query.sent_ns, query_kept_ns, now);
        });
        break;
    case 1:
        done = sweep(maps_->udp_peers, abi::PS_RING_UDP_PEERS, [now](const abi::ps_udp_peer &peer) {
            return is_older(peer.last_ns, udp_peer_kept_ns, now);
        });
        break;
    case 2:
        done = sweep(maps_->learned, abi::PS_RING_LEARNED, [now](const abi::ps_learned &row) {
            return std::ranges::all_of(row.names, [now](const abi::ps_learned_name &name) {
                return name.name_hash == 0 || is_older(name.expires_ns, learned_kept_ns, now);
            });
        });
        break;
    default:
        return true;
    }
    if (!done)
        return done.error();
    if (walk_.done) {
        walk_ = {};
        map_++;
    }
    return false;
}

// Each is looked at again just before it goes: the programs use the map meanwhile.
template <class Key, class Value, class IsStale>
Result<void> StaleRows::sweep(const kernel::Map<Key, Value> &map, std::uint32_t ring,
                              const IsStale &is_stale) {
    std::vector<Key> stale;
    auto visited = map.visit_some(walk_, [&](const Key &key, const Value &value) {
        if (is_stale(value))
            stale.push_back(key);
    });
    if (!visited)
        return visited;
    for (const Key &key : stale) {
        const auto value = map.lookup(key);
        if (!value)
            return value.error();
        if (!*value || !is_stale(**value))
            continue;
        if (const auto gone = map.erase(key); !gone)
            return gone.error();
        erased_++;
        if (auto freed = free_place(key, ring, (*value)->ring_position); !freed)
            return freed;
    }
    return {};
}

// Only where that key still stands; another's place is its own.
template <class Key>
Result<void> StaleRows::free_place(const Key &key, std::uint32_t ring, std::uint32_t position) {
    const abi::ps_ring_key place{key.slot, position, ring};
    const auto there = maps_->rings.lookup(place);
    if (!there)
        return there.error();
    abi::ps_ring_entry entry{};
    std::memcpy(entry.key, &key, sizeof key);
    if (!*there || std::memcmp((*there)->key, entry.key, sizeof entry.key) != 0)
        return {};
    const auto gone = maps_->rings.erase(place);
    return gone ? Result<void>() : gone.error();
}

} // namespace penstock::sync
