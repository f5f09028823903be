// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/name_rows.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace penstock::sync {
namespace {

constexpr std::uint32_t full_at = 4;    // 3/4 of the room taken:
constexpr std::uint32_t free_after = 2; // down to a half

bool is_retired(const abi::ps_counter_key &key) {
    return key.name_hash >= abi::PS_NAME_RETIRING && key.name_hash < abi::PS_NAME_FIRST_HASH;
}

} // namespace

bool NameRows::Before::operator()(const abi::ps_counter_key &a, const abi::ps_counter_key &b) const {
    return std::memcmp(&a, &b, sizeof a) < 0;
}

Result<bool> NameRows::round(std::uint64_t now) {
    const std::uint32_t room = maps_->gate.read().name_rows_per_slot;
    Rows retired;
    std::unordered_map<std::uint32_t, Rows> named; // by slot
    const auto walked = maps_->counters.for_each_key([&](const abi::ps_counter_key &key) {
        if (is_retired(key))
            retired.push_back(key);
        else if (key.name_hash >= abi::PS_NAME_FIRST_HASH)
            named[key.slot].push_back(key);
    });
    if (!walked)
        return walked.error();
    auto moved = fold(retired);
    std::erase_if(seen_, [&](const auto &entry) {
        const auto slot = named.find(entry.first.slot);
        return slot == named.end() || slot->second.size() < room - room / full_at;
    });
    for (const auto &[slot, rows] : named) {
        if (!moved || room == 0 || rows.size() < room - room / full_at)
            continue;
        const auto made = make_room(rows, rows.size() - room / free_after, now);
        moved = made ? Result<bool>(*moved || *made) : made.error();
    }
    return moved;
}

Result<bool> NameRows::fold(const Rows &retired) const {
    for (const auto &key : retired)
        if (auto done = maps_->counters.fold(key); !done)
            return done;
    return !retired.empty();
}

// A first look tells no idle row from a busy one: nothing goes before the second, unless the room is all taken.
Result<bool> NameRows::make_room(const Rows &rows, std::size_t too_many, std::uint64_t now) {
    struct Candidate {
        Seen seen;
        const abi::ps_counter_key *key;
    };
    std::vector<Candidate> candidates;
    std::size_t known = 0;
    for (const auto &key : rows) {
        const auto sum = maps_->counters.lookup(key);
        if (!sum)
            return sum.error();
        if (!*sum)
            continue;
        const auto [place, is_new] = seen_.try_emplace(key, Seen{(*sum)->packets, now});
        known += is_new ? 0 : 1;
        if (place->second.packets != (*sum)->packets)
            place->second = {(*sum)->packets, now};
        candidates.push_back({place->second, &key});
    }
    const bool is_full = rows.size() >= maps_->gate.read().name_rows_per_slot;
    if (known == 0 && !is_full)
        return false;
    std::sort(candidates.begin(), candidates.end(), [](const auto &a, const auto &b) {
        return std::pair(a.seen.changed_ns, a.seen.packets) < std::pair(b.seen.changed_ns, b.seen.packets);
    });
    candidates.resize(std::min(candidates.size(), too_many));
    for (const auto &candidate : candidates) {
        if (auto done = retire(*candidate.key); !done)
            return done;
        seen_.erase(*candidate.key);
    }
    return !candidates.empty();
}

// A number that is taken, by a row that could not be folded, is passed over: the row waits for the next round.
Result<bool> NameRows::retire(const abi::ps_counter_key &key) {
    number_ = (number_ + 1) % abi::PS_NAMES_RETIRING;
    return maps_->counters.retire(key, number_);
}

} // namespace penstock::sync
