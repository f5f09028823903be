// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/maps.h"

#include "userspace/kernel/shared_word.h"

#include <atomic>

namespace penstock::kernel {
// A slot number comes from a map that other code writes: an impossible one means the overflow slot, not a place
// past the mapping.
abi::ps_slot &SlotTable::at(std::uint32_t slot) const {
    return static_cast<abi::ps_slot *>(memory_.data())[slot < size() ? slot : 0];
}

abi::ps_slot SlotTable::read(std::uint32_t slot) const {
    abi::ps_slot &from = at(slot);
    abi::ps_slot copy{};
    copy.binding = load(from.binding);
    copy.cgroup_id = load(from.cgroup_id);
    copy.serial = load(from.serial);
    copy.flags = load(from.flags);
    copy.born_ns = load(from.born_ns);
    copy.recount = load(from.recount);
    return copy;
}

void SlotTable::bind(std::uint32_t slot, std::uint64_t binding) {
    store(at(slot).binding, binding);
}

void SlotTable::fill(std::uint32_t slot, const abi::ps_slot &value) {
    abi::ps_slot &to = at(slot);
    store(to.cgroup_id, value.cgroup_id);
    store(to.serial, value.serial);
    store(to.born_ns, value.born_ns);
    store(to.flags, value.flags);
    store(to.recount, value.recount);
    store(to.binding, value.binding);
}

void SlotTable::set_flags(std::uint32_t slot, std::uint32_t bits) {
    std::atomic_ref<__u32>(at(slot).flags).fetch_or(bits);
}

void SlotTable::clear(std::uint32_t slot) {
    fill(slot, abi::ps_slot{});
}

abi::ps_gate GateElement::read() const {
    abi::ps_gate &from = element();
    abi::ps_gate copy = from; // the fields that are written once
    copy.abi_version = load(from.abi_version);
    copy.level_mask = load(from.level_mask);
    copy.next_serial = load(from.next_serial);
    copy.next_budget = load(from.next_budget);
    copy.next_flow = load(from.next_flow);
    copy.events_lost = load(from.events_lost);
    copy.counters_lost = load(from.counters_lost);
    copy.births_lost = load(from.births_lost);
    copy.scratch_lost = load(from.scratch_lost);
    return copy;
}

void GateElement::add_level(std::uint32_t level) {
    std::atomic_ref<__u32>(element().level_mask).fetch_or(1U << (level % abi::PS_LEVELS));
}

std::uint32_t GateElement::take_serial() {
    return std::atomic_ref<__u32>(element().next_serial).fetch_add(1);
}

// As bucket__take_number of bpf/lib/bucket.h, when none was given back.
std::optional<std::uint32_t> GateElement::take_budget() {
    std::atomic_ref<__u32> next(element().next_budget);
    if (next.load() >= abi::PS_BUDGETS)
        return std::nullopt;
    const std::uint32_t taken = next.fetch_add(1);
    return taken < abi::PS_BUDGETS ? std::optional(taken) : std::nullopt;
}

void GateElement::set_caps(const abi::ps_gate &caps) {
    store(element().learned_per_slot, caps.learned_per_slot);
    store(element().queries_per_slot, caps.queries_per_slot);
    store(element().udp_peers_per_slot, caps.udp_peers_per_slot);
    store(element().domains_per_slot, caps.domains_per_slot);
    store(element().name_rows_per_slot, caps.name_rows_per_slot);
    store(element().flows_per_slot, caps.flows_per_slot);
    store(element().event_cost_ns, caps.event_cost_ns);
    store(element().event_burst_ns, caps.event_burst_ns);
}

void GateElement::initialise(const abi::ps_gate &value) {
    abi::ps_gate unmarked = value;
    unmarked.abi_version = 0;
    element() = unmarked;
    store(element().abi_version, value.abi_version);
}

} // namespace penstock::kernel
