// SPDX-License-Identifier: Apache-2.0
// PolicyWriter's part that cleans up after daemons that died: it has no image to tell the keys, so it walks the maps.
#include "userspace/sync/policy_writer.h"

#include <unordered_set>

namespace penstock::sync {
namespace {

using Ids = std::unordered_set<std::uint16_t>;

template <class Key, class Value> Result<void> erase_of(const kernel::Map<Key, Value> &map, const Ids &ids) {
    std::vector<Key> keys;
    auto walked = map.for_each([&](const Key &key, const Value &) {
        if (ids.contains(key.policy))
            keys.push_back(key);
    });
    if (!walked)
        return walked;
    for (const Key &key : keys)
        if (const auto done = map.erase(key); !done)
            return done.error();
    return {};
}

// The rule sets that keys of these policies name.
template <class Key>
Result<void> add_named(const kernel::Map<Key, abi::ps_match> &map, const Ids &ids,
                       std::unordered_set<std::uint64_t> &named) {
    return map.for_each([&](const Key &key, const abi::ps_match &match) {
        if (ids.contains(key.policy))
            named.insert({match.rule_set, match.private_set});
    });
}

} // namespace

Result<void> PolicyWriter::erase_by_scan(const std::vector<std::uint16_t> &list) {
    const Ids ids(list.begin(), list.end());
    for (const std::uint16_t id : ids) {
        Known &known = known_[id];
        known.content_hash = 0;
        abi::ps_policy begun{};
        begun.generation = known.handle.generation;
        if (auto done = maps_->policies.update(id, begun); !done)
            return done;
    }
    if (auto done = erase_of(maps_->names, ids); !done)
        return done;
    if (auto done = erase_of(maps_->cidrs4, ids); !done)
        return done;
    if (auto done = erase_of(maps_->cidrs6, ids); !done)
        return done;
    if (auto done = erase_of(maps_->resolvers, ids); !done)
        return done;
    if (auto done = erase_limits_by_scan(ids); !done)
        return done;
    for (const std::uint16_t id : ids) {
        if (auto done = maps_->policies.update(id, abi::ps_policy{}); !done)
            return done;
        known_.erase(id);
    }
    return {};
}

Result<std::size_t> PolicyWriter::collect_garbage() {
    std::vector<std::uint16_t> gone;
    Ids kept_unknown; // still bound, but nobody here knows what is in them
    for (const auto &[id, known] : known_) {
        if (known.image)
            continue;
        if (is_bound(id))
            kept_unknown.insert(id);
        else
            gone.push_back(id);
    }
    if (!gone.empty())
        if (const auto done = erase_by_scan(gone); !done)
            return done.error();
    if (const auto done = collect_rule_sets(std::vector(kept_unknown.begin(), kept_unknown.end())); !done)
        return done.error();
    return gone.size();
}

Result<void> PolicyWriter::collect_rule_sets(const std::vector<std::uint16_t> &kept_unknown) {
    const Ids ids(kept_unknown.begin(), kept_unknown.end());
    std::unordered_set<std::uint64_t> named;
    for (const Left &left : left_) // still in their grace
        for (const auto &[set, entries] : left.image->rule_sets)
            named.insert(set);
    if (!ids.empty()) {
        if (auto done = add_named(maps_->names, ids, named); !done)
            return done;
        if (auto done = add_named(maps_->cidrs4, ids, named); !done)
            return done;
        if (auto done = add_named(maps_->cidrs6, ids, named); !done)
            return done;
    }
    std::vector<abi::ps_port_key> unused;
    auto walked = maps_->ports.for_each([&](const abi::ps_port_key &key, const abi::ps_port_rule &) {
        const std::uint64_t set = key.rule_set;
        if (!rule_set_uses_.contains(set) && !named.contains(set))
            unused.push_back(key);
    });
    if (!walked)
        return walked;
    for (const abi::ps_port_key &key : unused)
        if (const auto done = maps_->ports.erase(key); !done)
            return done.error();
    return {};
}

} // namespace penstock::sync
