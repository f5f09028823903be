// SPDX-License-Identifier: Apache-2.0
// The rows and slots of containers: made here or by the birth program, freed here only. Knows cgroup ids, no names.
//
// A slot's life:  free -> USED (a row names it) -> DYING (cgroup removed, sockets may live) -> RELEASED (row gone)
//   -> the daemon folds counters(slot) into its totals -> free_slot()
#pragma once

#include "bpf/abi.h"
#include "userspace/base/result.h"
#include "userspace/kernel/gate.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace penstock::sync {

struct Row {
    std::uint64_t cgroup_id = 0;
    std::uint32_t slot = 0;
    std::uint32_t serial = 0;
    std::uint32_t row_flags = 0;  // PS_ROW_*; of the containers map
    std::uint32_t slot_flags = 0; // PS_SLOT_*
    std::uint64_t binding = 0;
    std::uint64_t born_ns = 0;
};

struct Counted {
    abi::ps_counter_key key;
    abi::ps_counter sum;
};

class Rows {
  public:
    explicit Rows(kernel::Gate &gate) : maps_(&gate.maps()) {} // `gate` outlives this

    // A row for the cgroup, bound from its first packet. If it has one already (the birth program was faster), that one,
    // with `row_flags` set and *its* binding: bind it then. ENOSPC without a free slot: then its row is the one of
    // PS_SLOT_OVERFLOW, which denies, and the next call gives it a slot of its own if one is free.
    Result<Row> make(std::uint64_t cgroup_id, std::uint32_t level, std::uint32_t row_flags,
                     std::uint64_t binding);

    Result<std::optional<Row>> find(std::uint64_t cgroup_id) const;
    Result<std::vector<Row>> all() const; // every row of the containers map
    std::vector<Row>
    slots_with(std::uint32_t flags) const; // slots that have all these flags (row_flags 0); no system call
    Row at(std::uint32_t slot) const;      // row_flags 0

    // Takes a living cgroup's row away: its traffic is not ours any more. Its slot is RELEASED.
    Result<void> remove(std::uint64_t cgroup_id);

    // The row of a cgroup that has been dying too long points to PS_SLOT_GONE from now on, which denies;
    // its slot is RELEASED.
    Result<void> point_to_gone(const Row &);

    // What the slot has counted.
    Result<std::vector<Counted>> counters(std::uint32_t slot) const;

    // Deletes all state, counters and budgets of a RELEASED slot and gives it back. Safe to repeat after a crash.
    Result<void> free_slot(std::uint32_t slot);

    // USED slots that no row names and that are not RELEASED: a daemon died between two writes. They are marked RELEASED.
    Result<std::size_t> release_lost();

  private:
    Result<Row> with_flags(Row, std::uint32_t row_flags);
    Result<void> clear_state(std::uint32_t slot);
    Result<void> clear_ring(std::uint32_t slot, std::uint32_t kind, std::uint32_t written);
    Result<bool> erase_ringed(std::uint32_t kind, const abi::ps_ring_entry &);
    Result<void> clear_counters(std::uint32_t slot);
    Result<void> clear_budgets(std::uint32_t slot);

    kernel::Maps *maps_;
};

} // namespace penstock::sync
