// SPDX-License-Identifier: Apache-2.0
// What containers have spent, read and changed while the programs count: every access is one atomic step on one word.
#include "userspace/kernel/maps.h"
#include "userspace/kernel/shared_word.h"

#include <algorithm>
#include <atomic>

namespace penstock::kernel {
namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000, ns_per_s = 1'000'000'000;

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
    copy.spent = load(from->spent); // before the windows: the one that it chose is whole
    for (int choice = 0; choice < 2; choice++)
        copy.window[choice] = load(from->window[choice]);
    copy.is_kept = std::atomic_ref<__u8>(from->is_kept).load(std::memory_order_acquire);
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

std::optional<PresentWindow> BudgetTable::window(const abi::ps_budget &budget, std::uint64_t boot_ns) {
    const std::uint64_t choice = PS_SPENT_CHOICE(budget.spent), windows = budget.window[choice];
    if (PS_WINDOW_LENGTH_S(windows) == 0)
        return std::nullopt;
    PresentWindow now;
    now.length_ns = PS_WINDOW_LENGTH_S(windows) * ns_per_s;
    const std::uint64_t start = static_cast<std::uint64_t>(PS_WINDOW_START_MS(windows)) * ns_per_ms;
    const std::uint64_t passed = boot_ns - start;
    const std::uint64_t number = static_cast<std::int64_t>(passed) > 0 ? passed / now.length_ns : 0;
    now.turns_ns = start + (number + 1) * now.length_ns;
    now.tag = PS_SPENT_TAG(choice, number);
    return now;
}

// The octets first, so that whoever counts meanwhile counts on top of them; then when their window began, unless it is of
// another length by now. Whoever dies in between has it done again: what is spent is then too much, never too little.
BudgetTable::Resumed BudgetTable::resume(std::uint32_t index, const QuotaWindow &before,
                                         std::uint64_t boot_ns) {
    abi::ps_budget *const budget = at(index);
    if (!budget || before.length_ns < ns_per_s || std::atomic_ref<__u8>(budget->is_kept).load() != 0)
        return Resumed::was_kept;
    std::atomic_ref<__u64> spent(budget->spent);
    __u64 seen = spent.load();
    std::optional<PresentWindow> now;
    do {
        now = window(read(index), boot_ns);
        if (!now)
            now = PresentWindow{0, 0, PS_SPENT_TAG(PS_SPENT_CHOICE(seen), 0)};
    } while (!spent.compare_exchange_weak(
        seen, PS_SPENT(now->tag, std::min(now->octets(seen) + before.octets, most_octets))));
    const std::uint64_t choice = PS_SPENT_CHOICE(seen);
    const __u64 windows = PS_WINDOW(before.length_ns / ns_per_s,
                                    static_cast<std::int64_t>(before.start_ns) / std::int64_t(ns_per_ms));
    std::atomic_ref<__u64> place(budget->window[choice]);
    __u64 there = place.load();
    const bool was_begun = there != 0 && PS_SPENT_OCTETS(seen) != 0;
    if (PS_SPENT_TAG(choice, 0) == now->tag &&
        (there == 0 || PS_WINDOW_LENGTH_S(there) == PS_WINDOW_LENGTH_S(windows)) &&
        !place.compare_exchange_strong(there, windows) &&
        PS_WINDOW_LENGTH_S(there) == PS_WINDOW_LENGTH_S(windows))
        place.compare_exchange_strong(there, windows); // a program began it just now
    store(budget->granted, PS_SPENT(now->tag, std::min<std::uint64_t>(before.granted, most_octets)));
    store(budget->told, PS_SPENT(now->tag, before.told));
    mark_kept(index);
    return was_begun ? Resumed::late : Resumed::begun;
}

void BudgetTable::mark_kept(std::uint32_t index) {
    if (abi::ps_budget *const budget = at(index))
        std::atomic_ref<__u8>(budget->is_kept).store(1, std::memory_order_release);
}

// Of the present window nothing; which one that is stays as it is. Zero is "nothing" in any window.
void BudgetTable::reset(std::uint32_t index) {
    abi::ps_budget *const budget = at(index);
    if (!budget)
        return;
    store(budget->granted, 0);
    store(budget->told, 0);
    std::atomic_ref<__u64>(budget->spent).fetch_and(~most_octets);
}

bool BudgetTable::grant(std::uint32_t index, std::uint64_t octets, std::uint64_t boot_ns) {
    abi::ps_budget *const budget = at(index);
    const auto now = window(read(index), boot_ns);
    if (!budget || !now)
        return false;
    std::atomic_ref<__u64> granted(budget->granted);
    __u64 seen = granted.load();
    while (!granted.compare_exchange_weak(
        seen, PS_SPENT(now->tag, std::min(now->octets(seen) + std::min(octets, most_octets), most_octets)))) {
    }
    store(budget->told, 0); // the marks are others now
    return true;
}

void BudgetTable::disown(std::uint32_t index) {
    if (abi::ps_budget *const budget = at(index))
        std::atomic_ref<__u32>(budget->slot).store(0, std::memory_order_release);
}

void BudgetTable::clear(std::uint32_t index) {
    if (abi::ps_budget *const budget = at(index)) {
        for (auto *field = reinterpret_cast<__u64 *>(budget); field != reinterpret_cast<__u64 *>(budget + 1);
             field++)
            store(*field, 0);
    }
}

} // namespace penstock::kernel
