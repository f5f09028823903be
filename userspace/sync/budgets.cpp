// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/budgets.h"

#include <algorithm>
#include <cerrno>

namespace penstock::sync {

Result<std::optional<Budget>> Budgets::find(std::uint32_t slot, std::uint64_t rule) const {
    const auto index = maps_->budget_ids.lookup({rule, slot, 0});
    if (!index)
        return index.error();
    return *index ? std::optional(Budget{**index, maps_->budgets.read(**index)}) : std::optional<Budget>();
}

std::vector<Budget> Budgets::begun() const {
    std::vector<Budget> found;
    const std::uint32_t taken = std::min(maps_->gate.read().next_budget, maps_->budgets.size());
    for (std::uint32_t index = 0; index < taken; index++)
        if (const auto value = maps_->budgets.read(index);
            value.slot != 0 && value.window[PS_SPENT_CHOICE(value.spent)] != 0)
            found.push_back({index, value});
    return found;
}

Result<std::uint32_t> Budgets::take() {
    const auto returned = maps_->free_budgets.pop();
    if (!returned)
        return returned.error();
    if (*returned)
        return **returned;
    if (const auto fresh = maps_->gate.take_budget())
        return *fresh;
    return Error{"map budgets is full", ENOSPC};
}

// Filled before a row names it: whoever finds it finds it whole.
Result<Budgets::Resumed> Budgets::resume(std::uint32_t slot, std::uint64_t rule,
                                         const kernel::QuotaWindow &before, std::uint64_t boot_ns) {
    const auto there = find(slot, rule);
    if (!there)
        return there.error();
    if (*there)
        return maps_->budgets.resume((*there)->index, before, boot_ns);
    const auto index = take();
    if (!index)
        return index.error();
    maps_->budgets.dedicate(*index, slot, rule);
    maps_->budgets.resume(*index, before, boot_ns);
    using Write = decltype(maps_->budget_ids)::Write;
    const auto written = maps_->budget_ids.update({rule, slot, 0}, *index, Write::only_new);
    if (written)
        return Resumed::begun;
    maps_->budgets.clear(*index);
    if (const auto back = maps_->free_budgets.push(*index); !back)
        return back.error();
    if (written.error().code == EEXIST) // a program came between: now there is one
        return resume(slot, rule, before, boot_ns);
    return written.error();
}

} // namespace penstock::sync
