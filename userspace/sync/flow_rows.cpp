// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/flow_rows.h"

#include <algorithm>

namespace penstock::sync {

FlowEnd FlowRows::end_of(const abi::ps_flow &row, std::uint64_t now) const {
    constexpr int both = abi::PS_FLOW_FIN_OUT | abi::PS_FLOW_FIN_IN;
    const std::uint64_t silent = now > row.last_ns ? now - row.last_ns : 0;
    const abi::ps_slot slot = maps_->slots.read(row.slot);
    if (slot.serial != row.key.serial || (slot.flags & abi::PS_SLOT_RELEASED) != 0)
        return FlowEnd::gone;
    if ((row.ends & abi::PS_FLOW_RESET) != 0 && silent >= linger_ns)
        return FlowEnd::reset;
    if ((row.ends & both) == both && silent >= linger_ns)
        return FlowEnd::closed;
    return silent >= idle_ns ? FlowEnd::idle : FlowEnd::active;
}

// Another flow may stand under its key by now, if we died between the two steps once.
Result<void> FlowRows::hide(std::uint32_t index, const abi::ps_flow &row, FlowEnd end) {
    maps_->flows.close(index, static_cast<std::uint32_t>(end));
    const auto there = maps_->flow_ids.lookup(row.key);
    if (!there)
        return there.error();
    if (*there != index)
        return {};
    const auto erased = maps_->flow_ids.erase(row.key);
    return erased ? Result<void>() : erased.error();
}

Result<void> FlowRows::free(std::uint32_t index, const abi::ps_flow &row) {
    if (maps_->slots.read(row.slot).serial == row.key.serial)
        maps_->head_rows.give_back(row.slot, abi::PS_HEAD_FLOWS);
    maps_->flows.clear(index);
    return maps_->free_flows.push(index);
}

Result<std::vector<FlowRecord>> FlowRows::look(std::uint64_t now) {
    std::vector<FlowRecord> records;
    const std::uint32_t taken = std::min(maps_->gate.read().next_flow, maps_->flows.size());
    for (std::uint32_t index = 0; index < taken; index++) {
        if (!maps_->flows.is_used(index))
            continue;
        const abi::ps_flow row = maps_->flows.read(index);
        const std::uint64_t from = std::max(row.told_ns, row.begun_ns);
        const bool is_over = row.closing != 0;
        if (const auto end = end_of(row, now); !is_over && end != FlowEnd::active) {
            if (const auto done = hide(index, row, end); !done)
                return done.error();
            continue;
        }
        if (!is_over && now < from + interval_ns)
            continue;
        const FlowRecord record{row, static_cast<FlowEnd>(row.closing), from};
        if (is_over || record.packets(abi::PS_EGRESS) + record.packets(abi::PS_INGRESS) > 0)
            records.push_back(record);
        if (!is_over)
            maps_->flows.note_told(index, row, now);
        else if (const auto done = free(index, row); !done)
            return done.error();
    }
    return records;
}

} // namespace penstock::sync
