// SPDX-License-Identifier: Apache-2.0
// The maps of bpf/lib/maps.h as typed values. Knows layouts (bpf/abi.h), not what they mean.
// All are borrowed from the Gate and live as long as it does.
#pragma once

#include "bpf/abi.h"
#include "userspace/kernel/flow_table.h"
#include "userspace/kernel/mapped_array.h"
#include "userspace/kernel/raw_map.h"

#include <array>
#include <optional>
#include <span>

namespace penstock::kernel {

template <class Key, class Value> class Map : private RawMap {
  public:
    using RawMap::max_entries, RawMap::name, RawMap::Walk, RawMap::Write;
    Map() = default;
    explicit Map(RawMap raw) : RawMap(std::move(raw)) {}

    Result<std::optional<Value>> lookup(const Key &key) const {
        Value value{};
        const auto found = RawMap::lookup(&key, &value);
        if (!found)
            return found.error();
        return *found ? std::optional<Value>(value) : std::optional<Value>();
    }
    Result<void> update(const Key &key, const Value &value, Write how = Write::any) const {
        return RawMap::update(&key, &value, how);
    }
    Result<bool> erase(const Key &key) const { return RawMap::erase(&key); }

    // `keys` and `values` go together. After an error the first `done` of them are in the map.
    Result<void> update_all(std::span<const Key> keys, std::span<const Value> values,
                            std::uint32_t &done) const {
        return RawMap::update_all(keys.data(), values.data(), static_cast<std::uint32_t>(keys.size()), done);
    }

    // visit(const Key &, const Value &). Must not change the map: collect first, then change.
    template <class Visit> Result<void> for_each(Visit visit) const {
        return RawMap::for_each([&](const void *key, const void *value) {
            visit(*static_cast<const Key *>(key), *static_cast<const Value *>(value));
        });
    }
    // The same in slices of about a thousand entries; see RawMap. In between the map may be changed.
    template <class Visit> Result<void> visit_some(Walk &walk, Visit visit) const {
        return RawMap::visit_some(walk, [&](const void *key, const void *value) {
            visit(*static_cast<const Key *>(key), *static_cast<const Value *>(value));
        });
    }
};

// free_slots, free_cells, free_budgets, free_flows: a stack of numbers that are not taken, shared with the programs. Of all
// but slots it holds only those that were given back; gate.next_cell, next_budget and next_flow are the first
// that nobody had.
class FreeNumbers : private RawMap {
  public:
    FreeNumbers() = default;
    explicit FreeNumbers(RawMap raw) : RawMap(std::move(raw)) {}
    Result<void> push(std::uint32_t number) const { return RawMap::push(&number); }
    Result<std::optional<std::uint32_t>> pop() const {
        std::uint32_t number = 0;
        const auto got = RawMap::pop(&number);
        if (!got)
            return got.error();
        return *got ? std::optional<std::uint32_t>(number) : std::optional<std::uint32_t>();
    }
    // Makes it hold first..last, the lowest on top.
    Result<void> fill(std::uint32_t first, std::uint32_t last) const;
};

// counters, cells and free_cells together: a row of counters by key, as the sum over the CPUs.
class CounterMap {
  public:
    CounterMap() = default;
    // The programs of retire.bpf.c, borrowed like the maps.
    struct Programs {
        int retire = -1, fold = -1;
    };
    CounterMap(RawMap keys, RawMap cells, FreeNumbers free, Programs);

    const std::string &name() const { return keys_.name(); }
    std::uint32_t max_entries() const { return keys_.max_entries(); }
    Result<std::optional<abi::ps_counter>> lookup(const abi::ps_counter_key &) const;
    // The cell is 0 again and may be given to any other row: nobody may count in it any more.
    Result<bool> erase(const abi::ps_counter_key &) const;
    // Those that are wanted. A row that is erased meanwhile may be seen with another's counts.
    using Wanted = std::function<bool(const abi::ps_counter_key &)>;
    using Visit = std::function<void(const abi::ps_counter_key &, const abi::ps_counter &)>;
    Result<void> for_each(const Wanted &, const Visit &) const;
    Result<void> for_each(const Visit &visit) const {
        return for_each([](const abi::ps_counter_key &) { return true; }, visit);
    }
    // The row of a name makes room: it goes under another key, of the same sums. False: there is none, or so many alike of
    // that number. After a second at the least nobody adds to it any more, and it can be folded into PS_NAME_OTHER's.
    Result<bool> retire(const abi::ps_counter_key &, std::uint32_t number) const;
    Result<bool> fold(const abi::ps_counter_key &retired) const;
    // What all rows of a slot have counted, by slot, read in batches: no system call a row. Cells from `next_cell` on
    // nobody had yet.
    Result<std::vector<std::uint64_t>> packets_by_slot(std::uint32_t next_cell) const;
    Result<std::uint64_t> size() const; // rows there are, without reading their cells
    Result<void> for_each_key(const std::function<void(const abi::ps_counter_key &)> &) const;

  private:
    Result<abi::ps_counter> sum(std::uint32_t cell) const;

    Map<abi::ps_counter_key, std::uint32_t> keys_;
    RawMap cells_;
    FreeNumbers free_;
    Programs programs_;
    std::size_t cpus_ = 0;
};

// slots: what the programs and the daemon say about each container's slot.
class SlotTable {
  public:
    SlotTable() = default;
    explicit SlotTable(MappedArray memory) : memory_(std::move(memory)) {}

    abi::ps_slot read(std::uint32_t slot) const; // each field whole, not all of one moment
    // One atomic 8-octet store: the next packet is judged by it.
    void bind(std::uint32_t slot, std::uint64_t binding);
    // For a slot that no row names yet.
    void fill(std::uint32_t slot, const abi::ps_slot &);
    void set_flags(std::uint32_t slot, std::uint32_t bits);
    void clear(std::uint32_t slot);
    static constexpr std::uint32_t size() { return abi::PS_SLOTS; }

  private:
    abi::ps_slot &at(std::uint32_t slot) const;
    MappedArray memory_;
};

// gate: the one element. Fields the programs raise are only read here.
class GateElement {
  public:
    GateElement() = default;
    explicit GateElement(MappedArray memory) : memory_(std::move(memory)) {}

    abi::ps_gate read() const;
    void add_level(std::uint32_t level); // rows stand at this level
    std::uint32_t take_serial();
    std::optional<std::uint32_t> take_budget(); // one that nobody had; none: all were given out
    void set_caps(const abi::ps_gate &);        // *_per_slot and event_*
    void initialise(const abi::ps_gate &);      // abi_version last

  private:
    abi::ps_gate &element() const { return *static_cast<abi::ps_gate *>(memory_.data()); }
    MappedArray memory_;
};

// A window of a quota that began elsewhere: before this boot, or in another cgroup at the same path.
struct QuotaWindow {
    std::uint64_t octets = 0, granted = 0; // spent in it; on top of the quota in it
    std::uint64_t told = 0;                // per cent that an event told of
    std::uint64_t length_ns = 0;
    std::uint64_t start_ns = 0; // CLOCK_BOOTTIME modulo 2^64: before this boot it is a negative number's
};

// The window of a quota that is now, as bpf/lib/quota.h has it.
struct PresentWindow {
    std::uint64_t length_ns = 0, turns_ns = 0; // turns: CLOCK_BOOTTIME
    std::uint16_t tag = 0;

    std::uint64_t octets(std::uint64_t word) const {
        return PS_SPENT_WINDOW(word) == tag ? PS_SPENT_OCTETS(word) : 0;
    }
};

// budgets: what containers have spent of limits, by the index that budget_ids names. An index comes from a map that other
// code writes: past the end there is nothing to read, and nothing is written.
// What a word of a budget can count to.
inline constexpr std::uint64_t most_octets = PS_SPENT_OCTETS(~std::uint64_t{0});

class BudgetTable {
  public:
    BudgetTable() = default;
    BudgetTable(MappedArray memory, std::uint32_t size) : memory_(std::move(memory)), size_(size) {}

    abi::ps_budget read(std::uint32_t index) const; // each field whole, not all of one moment
    // None before the first packet that a quota counted. The first window may have begun before the boot.
    static std::optional<PresentWindow> window(const abi::ps_budget &, std::uint64_t boot_ns);
    // For one that no row names yet.
    void dedicate(std::uint32_t index, std::uint32_t slot, std::uint64_t rule);
    // The window, which is not over yet, goes on here, and what is counted here already is of it. Once: then it is kept.
    enum class Resumed {
        was_kept,
        begun,
        late
    }; // was_kept: nothing is changed; late: something was counted before
    Resumed resume(std::uint32_t index, const QuotaWindow &, std::uint64_t boot_ns);
    void mark_kept(std::uint32_t index);
    // Nothing is spent, granted or told of; rates are left alone.
    void reset(std::uint32_t index);
    // Octets on top of the quota, and of what was granted, in the present window alone. False: no window has begun, so the
    // quota is whole.
    bool grant(std::uint32_t index, std::uint64_t octets, std::uint64_t boot_ns);
    void clear(std::uint32_t index); // for one that no row names any more
    void
    disown(std::uint32_t index); // the same, when a program may still count in it: nobody's, and not free
    std::uint32_t size() const { return size_; }

  private:
    abi::ps_budget *at(std::uint32_t index) const;
    MappedArray memory_;
    std::uint32_t size_ = 0;
};

using Id = std::uint32_t; // index of an array map

struct Maps {
    GateElement gate;
    SlotTable slots;
    FreeNumbers free_slots;
    FreeNumbers free_cells;
    FreeNumbers free_budgets;
    FreeNumbers free_flows;
    Map<std::uint64_t, abi::ps_row> containers;
    Map<abi::ps_birth_key, abi::ps_birth> birth;
    Map<Id, abi::ps_policy> policies;
    Map<abi::ps_name_key, abi::ps_match> names;
    Map<abi::ps_cidr4_key, abi::ps_match> cidrs4;
    Map<abi::ps_cidr6_key, abi::ps_match> cidrs6;
    Map<abi::ps_port_key, abi::ps_port_rule> ports;
    Map<abi::ps_resolver_key, std::uint8_t> resolvers;
    Map<abi::ps_limits_key, std::uint32_t> limit_ids;
    Map<Id, abi::ps_limits> limits;
    Map<abi::ps_budget_key, std::uint32_t> budget_ids;
    BudgetTable budgets;
    Map<abi::ps_flow_key, std::uint32_t> flow_ids;
    FlowTable flows;
    HeadTable head_rows;
    Map<abi::ps_address_key, abi::ps_learned> learned;
    Map<abi::ps_domain_key, abi::ps_domain> domains;
    Map<abi::ps_query_key, abi::ps_query> queries;
    Map<abi::ps_udp_peer_key, abi::ps_udp_peer> udp_peers;
    Map<abi::ps_ring_key, abi::ps_ring_entry> rings;
    Map<Id, abi::ps_heads> heads;
    CounterMap counters;
};

} // namespace penstock::kernel
