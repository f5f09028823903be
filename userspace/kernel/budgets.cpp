// SPDX-License-Identifier: Apache-2.0
// What containers have spent, read and changed while the programs count: every access is one atomic step on one word.
#include "userspace/kernel/maps.h"

#include <algorithm>
#include <atomic>

namespace penstock::kernel {
namespace {

std::uint64_t load(__u64 &field) {
    return std::atomic_ref<__u64>(field).load(std::memory_order_acquire);
}
void store(__u64 &field, std::uint64_t value) {
    std::atomic_ref<__u64>(field).store(value, std::memory_order_release);
}

} // namespace

abi::ps_budget *BudgetTable::at(std::uint32_t index) const {
    return index < size_ ? static_cast<abi::ps_budget *>(memory_.data()) + index : nullptr;
}

abi::ps_budget BudgetTable::read(std::uint32_t index) const {
    abi::ps_budget copy{};
    abi::ps_budget *const from = at(index);
    if (!from)
        return copy;
    copy.rule = load(from->rule);
    copy.slot = std::atomic_ref<__u32>(from->slot).load(std::memory_order_acquire);
    for (int kind = 0; kind < abi::PS_RATES; kind++)
        copy.full_ns[kind] = load(from->full_ns[kind]);
    copy.window_ns = load(from->window_ns);
    copy.window_start_ns = load(from->window_start_ns);
    copy.spent = load(from->spent);
    copy.granted = load(from->granted);
    copy.told = load(from->told);
    return copy;
}

void BudgetTable::dedicate(std::uint32_t index, std::uint32_t slot, std::uint64_t rule) {
    if (abi::ps_budget *const budget = at(index)) {
        store(budget->rule, rule);
        std::atomic_ref<__u32>(budget->slot).store(slot, std::memory_order_release);
    }
}

// Whoever gives the window its length begins it: a program that comes first does so itself, one that comes later counts in
// window 0 of ours, whichever of the words below it sees.
bool BudgetTable::resume(std::uint32_t index, const QuotaWindow &before) {
    abi::ps_budget *const budget = at(index);
    __u64 none = 0;
    if (!budget || before.length_ns == 0 ||
        !std::atomic_ref<__u64>(budget->window_ns).compare_exchange_strong(none, before.length_ns))
        return false;
    store(budget->window_start_ns, before.start_ns != 0 ? before.start_ns : 1);
    store(budget->granted, PS_SPENT(0, std::min<std::uint64_t>(before.granted, most_octets)));
    store(budget->told, PS_SPENT(0, before.told));
    std::atomic_ref<__u64> spent(budget->spent);
    __u64 seen = spent.load();
    while (!spent.compare_exchange_weak(
        seen, PS_SPENT(0, std::min<std::uint64_t>(PS_SPENT_OCTETS(seen) + before.octets, most_octets)))) {
    }
    return true;
}

// Zero is "nothing" in any window: octets 0 of window 0.
void BudgetTable::reset(std::uint32_t index) {
    abi::ps_budget *const budget = at(index);
    if (!budget)
        return;
    store(budget->granted, 0);
    store(budget->told, 0);
    store(budget->spent, 0);
}

bool BudgetTable::grant(std::uint32_t index, std::uint64_t octets, std::uint64_t boot_ns) {
    abi::ps_budget *const budget = at(index);
    const auto now = window(read(index), boot_ns);
    if (!budget || !now)
        return false;
    std::atomic_ref<__u64> granted(budget->granted);
    __u64 seen = granted.load();
    __u64 sum = 0;
    do {
        const bool is_of_now = PS_SPENT_WINDOW(seen) == static_cast<__u16>(*now);
        const std::uint64_t before = is_of_now ? PS_SPENT_OCTETS(seen) : 0;
        sum = std::min(before + std::min(octets, most_octets), most_octets);
    } while (!granted.compare_exchange_weak(seen, PS_SPENT(*now, sum)));
    store(budget->told, 0); // the marks are others now
    return true;
}

void BudgetTable::clear(std::uint32_t index) {
    if (abi::ps_budget *const budget = at(index)) {
        for (auto *field = reinterpret_cast<__u64 *>(budget); field != reinterpret_cast<__u64 *>(budget + 1);
             field++)
            store(*field, 0);
    }
}

} // namespace penstock::kernel
