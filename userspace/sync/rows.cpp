// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/rows.h"

#include "userspace/base/clock.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_set>

namespace penstock::sync {
namespace {

constexpr std::uint64_t settle_ns = 1'000'000'000; // the birth program is done with a slot long before

Row row_of(std::uint32_t slot, const abi::ps_slot &state) {
    Row row;
    row.cgroup_id = state.cgroup_id;
    row.slot = slot;
    row.serial = state.serial;
    row.slot_flags = state.flags;
    row.binding = state.binding;
    row.born_ns = state.born_ns;
    return row;
}

template <class Key> Key key_in(const abi::ps_ring_entry &entry) {
    static_assert(sizeof(Key) <= sizeof entry.key);
    Key key;
    std::memcpy(&key, entry.key, sizeof key);
    return key;
}

} // namespace

Result<Row> Rows::make(std::uint64_t cgroup_id, std::uint32_t level, std::uint32_t row_flags,
                       std::uint64_t binding) {
    if (level >= abi::PS_LEVELS)
        return Error{"cgroup at level " + std::to_string(level) + ": rows stand at levels 0 to " +
                         std::to_string(abi::PS_LEVELS - 1),
                     EINVAL};
    using Write = decltype(maps_->containers)::Write;
    const auto there = find(cgroup_id);
    if (!there)
        return there.error();
    if (*there && (*there)->slot != abi::PS_SLOT_OVERFLOW)
        return with_flags(**there, row_flags); // the birth program was faster, or we were
    const auto free = maps_->free_slots.pop();
    if (!free)
        return free.error();
    maps_->gate.add_level(level); // before the row: a row at a level no walk visits is none
    if (!*free) {                 // denied rather than nobody's
        if (!*there)
            (void)maps_->containers.update(cgroup_id, {abi::PS_SLOT_OVERFLOW, row_flags}, Write::only_new);
        return Error{"no free slot: all " + std::to_string(kernel::SlotTable::size()) + " are taken", ENOSPC};
    }
    abi::ps_slot state{};
    state.binding = binding;
    state.cgroup_id = cgroup_id;
    state.serial = maps_->gate.take_serial();
    state.flags = abi::PS_SLOT_USED;
    state.born_ns = monotonic_ns();
    maps_->slots.fill(**free, state);
    const auto written = maps_->containers.update(cgroup_id, {**free, row_flags},
                                                  *there ? Write::only_existing : Write::only_new);
    if (written) {
        Row row = row_of(**free, state);
        row.row_flags = row_flags;
        return row;
    }
    maps_->slots.clear(**free);
    if (const auto back = maps_->free_slots.push(**free); !back)
        return back.error();
    if (written.error().code == EEXIST) // the birth program came between: now there is a row
        return make(cgroup_id, level, row_flags, binding);
    return written.error();
}

Result<Row> Rows::with_flags(Row row, std::uint32_t row_flags) {
    if (row.row_flags == row_flags)
        return row;
    const auto set = maps_->containers.update(row.cgroup_id, {row.slot, row_flags},
                                              decltype(maps_->containers)::Write::only_existing);
    if (!set)
        return set.error();
    row.row_flags = row_flags;
    return row;
}

Result<std::optional<Row>> Rows::find(std::uint64_t cgroup_id) const {
    const auto there = maps_->containers.lookup(cgroup_id);
    if (!there)
        return there.error();
    if (!*there)
        return std::optional<Row>();
    Row row = at((*there)->slot);
    row.cgroup_id = cgroup_id;
    row.row_flags = (*there)->flags;
    return std::optional<Row>(row);
}

Result<std::vector<Row>> Rows::all() const {
    std::vector<Row> rows;
    const auto walked = maps_->containers.for_each([&](std::uint64_t cgroup_id, const abi::ps_row &there) {
        Row row = at(there.slot);
        row.cgroup_id = cgroup_id;
        row.row_flags = there.flags;
        rows.push_back(row);
    });
    if (!walked)
        return walked.error();
    return rows;
}

std::vector<Row> Rows::slots_with(std::uint32_t flags) const {
    std::vector<Row> rows;
    for (std::uint32_t slot = abi::PS_SLOT_FIRST; slot < abi::PS_SLOTS; slot++) {
        const abi::ps_slot state = maps_->slots.read(slot);
        if ((state.flags & flags) == flags && state.flags != 0)
            rows.push_back(row_of(slot, state));
    }
    return rows;
}

Row Rows::at(std::uint32_t slot) const {
    return row_of(slot, maps_->slots.read(slot));
}

Result<void> Rows::remove(std::uint64_t cgroup_id) {
    const auto row = find(cgroup_id);
    if (!row)
        return row.error();
    if (!*row)
        return {};
    const auto erased = maps_->containers.erase(cgroup_id);
    if (!erased)
        return erased.error();
    if ((*row)->slot >= abi::PS_SLOT_FIRST)
        maps_->slots.set_flags((*row)->slot, abi::PS_SLOT_RELEASED);
    return {};
}

// Only if the cgroup's row still names this slot: the kernel may have released it meanwhile.
Result<void> Rows::point_to_gone(const Row &row) {
    const auto now = find(row.cgroup_id);
    if (!now)
        return now.error();
    if (!*now || (*now)->slot != row.slot)
        return {};
    auto written = maps_->containers.update(row.cgroup_id, {abi::PS_SLOT_GONE, 0},
                                            decltype(maps_->containers)::Write::only_existing);
    if (!written && written.error().code != ENOENT)
        return written;
    maps_->slots.set_flags(row.slot, abi::PS_SLOT_RELEASED);
    return {};
}

Result<std::vector<Counted>> Rows::counters(std::uint32_t slot) const {
    std::vector<Counted> counted;
    const auto walked =
        maps_->counters.for_each([&](const abi::ps_counter_key &key) { return key.slot == slot; },
                                 [&](const abi::ps_counter_key &key, const abi::ps_counter &sum) {
                                     counted.push_back({key, sum});
                                 });
    if (!walked)
        return walked.error();
    return counted;
}

Result<void> Rows::free_slot(std::uint32_t slot) {
    if (slot < abi::PS_SLOT_FIRST || slot >= abi::PS_SLOTS)
        return Error{"slot " + std::to_string(slot) + " is not a container's", EINVAL};
    if (!(maps_->slots.read(slot).flags & abi::PS_SLOT_RELEASED))
        return Error{"slot " + std::to_string(slot) + " is in use", EBUSY};
    maps_->slots.bind(slot, 0);
    if (auto done = clear_state(slot); !done)
        return done;
    if (auto done = clear_counters(slot); !done)
        return done;
    if (auto done = clear_budgets(slot); !done)
        return done;
    maps_->slots.clear(slot);
    return maps_->free_slots.push(slot);
}

// The rings name every key the slot has in the other maps: no walk over what belongs to others.
Result<void> Rows::clear_state(std::uint32_t slot) {
    const auto heads = maps_->heads.lookup(slot);
    if (!heads)
        return heads.error();
    const abi::ps_gate gate = maps_->gate.read();
    const std::pair<std::uint32_t, std::uint32_t> rings[] = {
        {abi::PS_RING_LEARNED, gate.learned_per_slot},
        {abi::PS_RING_QUERIES, gate.queries_per_slot},
        {abi::PS_RING_UDP_PEERS, gate.udp_peers_per_slot},
        {abi::PS_RING_DOMAINS, gate.domains_per_slot},
    };
    for (const auto &[kind, cap] : rings)
        if (auto done = clear_ring(slot, kind, std::min(cap, (*heads)->head[kind])); !done)
            return done;
    return maps_->heads.update(slot, abi::ps_heads{});
}

Result<void> Rows::clear_ring(std::uint32_t slot, std::uint32_t kind, std::uint32_t written) {
    for (std::uint32_t position = 0; position < written; position++) {
        const abi::ps_ring_key key{slot, position, kind};
        const auto entry = maps_->rings.lookup(key);
        if (!entry)
            return entry.error();
        if (!*entry)
            continue;
        if (const auto done = erase_ringed(kind, **entry); !done)
            return done.error();
        if (const auto done = maps_->rings.erase(key); !done)
            return done.error();
    }
    return {};
}

Result<bool> Rows::erase_ringed(std::uint32_t kind, const abi::ps_ring_entry &entry) {
    switch (kind) {
    case abi::PS_RING_LEARNED:
        return maps_->learned.erase(key_in<abi::ps_address_key>(entry));
    case abi::PS_RING_QUERIES:
        return maps_->queries.erase(key_in<abi::ps_query_key>(entry));
    case abi::PS_RING_UDP_PEERS:
        return maps_->udp_peers.erase(key_in<abi::ps_udp_peer_key>(entry));
    default:
        return maps_->domains.erase(key_in<abi::ps_domain_key>(entry));
    }
}

Result<void> Rows::clear_counters(std::uint32_t slot) {
    const auto counted = counters(slot);
    if (!counted)
        return counted.error();
    for (const Counted &each : *counted)
        if (const auto done = maps_->counters.erase(each.key); !done)
            return done.error();
    return {};
}

// As with counters: whoever dies in between loses a budget, and never gives one to two containers.
Result<void> Rows::clear_budgets(std::uint32_t slot) {
    std::vector<std::pair<abi::ps_budget_key, std::uint32_t>> found;
    auto walked = maps_->budget_ids.for_each([&](const abi::ps_budget_key &key, std::uint32_t index) {
        if (key.slot == slot)
            found.emplace_back(key, index);
    });
    if (!walked)
        return walked;
    for (const auto &[key, index] : found) {
        maps_->budgets.clear(index);
        const auto erased = maps_->budget_ids.erase(key);
        if (!erased)
            return erased.error();
        if (!*erased)
            continue;
        if (auto back = maps_->free_budgets.push(index); !back)
            return back;
    }
    return {};
}

Result<std::size_t> Rows::release_lost() {
    const std::uint64_t now = monotonic_ns();
    const std::vector<Row> used =
        slots_with(abi::PS_SLOT_USED); // before the rows: a row written meanwhile is seen
    const auto rows = all();
    if (!rows)
        return rows.error();
    std::unordered_set<std::uint32_t> named;
    for (const Row &row : *rows)
        named.insert(row.slot);
    std::size_t lost = 0;
    for (const Row &row : used) {
        if ((row.slot_flags & abi::PS_SLOT_RELEASED) || named.contains(row.slot) ||
            row.born_ns + settle_ns > now)
            continue;
        maps_->slots.set_flags(row.slot, abi::PS_SLOT_RELEASED);
        lost++;
    }
    return lost;
}

} // namespace penstock::sync
