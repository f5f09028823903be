// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/flow_table.h"

#include "userspace/kernel/shared_word.h"

#include <atomic>

namespace penstock::kernel {
abi::ps_flow *FlowTable::at(std::uint32_t index) const {
    return index < size_ ? static_cast<abi::ps_flow *>(memory_.data()) + index : nullptr;
}

bool FlowTable::is_used(std::uint32_t index) const {
    abi::ps_flow *const row = at(index);
    return row && load(row->begun_ns) != 0;
}

abi::ps_flow FlowTable::read(std::uint32_t index) const {
    abi::ps_flow *const row = at(index);
    if (!row)
        return {};
    abi::ps_flow copy = *row;
    for (const int way : {abi::PS_EGRESS, abi::PS_INGRESS}) {
        copy.packets[way] = load(row->packets[way]);
        copy.bytes[way] = load(row->bytes[way]);
    }
    copy.last_ns = load(row->last_ns);
    return copy;
}

void FlowTable::note_told(std::uint32_t index, const abi::ps_flow &told, std::uint64_t now) {
    abi::ps_flow *const row = at(index);
    if (!row)
        return;
    row->told_ns = now;
    for (const int way : {abi::PS_EGRESS, abi::PS_INGRESS}) {
        row->told_packets[way] = told.packets[way];
        row->told_bytes[way] = told.bytes[way];
    }
}

void FlowTable::close(std::uint32_t index, std::uint32_t why) {
    if (abi::ps_flow *const row = at(index)) {
        store(row->word, 0);
        store(row->closing, why);
    }
}

void FlowTable::clear(std::uint32_t index) {
    if (abi::ps_flow *const row = at(index)) {
        store(row->begun_ns, 0);
        *row = abi::ps_flow{};
    }
}

void HeadTable::give_back(std::uint32_t slot, abi::ps_head kind) {
    if (slot >= abi::PS_SLOTS || !memory_.data())
        return;
    std::atomic_ref<__u32> head(static_cast<abi::ps_heads *>(memory_.data())[slot].head[kind]);
    __u32 seen = head.load();
    while (seen > 0 && !head.compare_exchange_weak(seen, seen - 1)) {
    }
}

} // namespace penstock::kernel
