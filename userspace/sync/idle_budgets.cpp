// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/idle_budgets.h"

#include <algorithm>
#include <unordered_map>

namespace penstock::sync {
namespace {

constexpr std::uint64_t grace_ns = std::chrono::nanoseconds(grace).count();

// Would a new budget hold the same?
bool says_nothing(const abi::ps_budget &budget, std::uint64_t monotonic_ns, std::uint64_t boot_ns) {
    const auto window = kernel::BudgetTable::window(budget, boot_ns);
    if (window && window->octets(budget.spent) + window->octets(budget.granted) > 0)
        return false;
    return std::all_of(std::begin(budget.full_ns), std::end(budget.full_ns),
                       [&](std::uint64_t full) { return full <= monotonic_ns; });
}

} // namespace

bool IdleBudgets::is_idle(const abi::ps_budget &budget, const Holder &holder, std::uint64_t monotonic_ns,
                          std::uint64_t boot_ns) const {
    const auto slot = maps_->slots.read(holder.slot);
    return slot.serial == holder.serial && slot.binding == holder.binding &&
           !(slot.flags & abi::PS_SLOT_RELEASED) && monotonic_ns - holder.bound_ns >= grace_ns &&
           !(holder.image && holder.image->limits.contains(budget.rule)) &&
           says_nothing(budget, monotonic_ns, boot_ns);
}

Result<std::size_t> IdleBudgets::round(const std::vector<Holder> &holders, std::uint64_t monotonic_ns,
                                       std::uint64_t boot_ns) {
    auto freed = give_back(monotonic_ns);
    if (!freed)
        return freed;
    std::unordered_map<std::uint32_t, const Holder *> by_slot;
    for (const Holder &holder : holders)
        by_slot[holder.slot] = &holder;
    const std::uint32_t given_out = std::min(maps_->gate.read().next_budget, maps_->budgets.size());
    for (std::uint32_t index = 0; index < given_out; index++) {
        const auto budget = maps_->budgets.read(index);
        const auto holder = by_slot.find(budget.slot);
        if (holder == by_slot.end() || !is_idle(budget, *holder->second, monotonic_ns, boot_ns))
            continue;
        if (const auto taken = take(index, budget, monotonic_ns); !taken)
            return taken.error();
    }
    return freed;
}

// Only if the row names it: one whose maker was too late is not ours to give back.
Result<void> IdleBudgets::take(std::uint32_t index, const abi::ps_budget &budget,
                               std::uint64_t monotonic_ns) {
    const abi::ps_budget_key key{budget.rule, budget.slot, 0};
    const auto named = maps_->budget_ids.lookup(key);
    if (!named)
        return named.error();
    if (!*named || **named != index)
        return {};
    const auto erased = maps_->budget_ids.erase(key);
    if (!erased)
        return erased.error();
    maps_->budgets.disown(index);
    nobodys_[index] = monotonic_ns;
    return {};
}

Result<std::size_t> IdleBudgets::give_back(std::uint64_t monotonic_ns) {
    std::size_t freed = 0;
    for (auto entry = nobodys_.begin(); entry != nobodys_.end();) {
        const auto [index, since_ns] = *entry;
        if (monotonic_ns - since_ns < grace_ns) {
            ++entry;
            continue;
        }
        maps_->budgets.clear(index);
        if (const auto back = maps_->free_budgets.push(index); !back)
            return back.error();
        entry = nobodys_.erase(entry);
        freed++;
    }
    return freed;
}

} // namespace penstock::sync
