// SPDX-License-Identifier: Apache-2.0
// What containers have spent, by slot and rule: found, read, and begun with what was spent before. The programs make and
// count them by themselves; clearing them is of Rows. Knows no names.
#pragma once

#include "bpf/abi.h"
#include "userspace/base/result.h"
#include "userspace/kernel/gate.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::sync {

struct Budget {
    std::uint32_t index = 0;
    abi::ps_budget value{};
};

class Budgets {
  public:
    explicit Budgets(kernel::Gate &gate) : maps_(&gate.maps()) {} // `gate` outlives this

    // Rule 0: of the container as a whole. None: nothing of its limits was ever asked for.
    Result<std::optional<Budget>> find(std::uint32_t slot, std::uint64_t rule) const;

    // Those in which a quota's window has begun, by index; no system call.
    std::vector<Budget> begun() const;

    // The budget goes on with the window; it is made if there is none. See kernel::BudgetTable::resume.
    using Resumed = kernel::BudgetTable::Resumed;
    Result<Resumed> resume(std::uint32_t slot, std::uint64_t rule, const kernel::QuotaWindow &,
                           std::uint64_t boot_ns);
    void mark_kept(std::uint32_t index) { maps_->budgets.mark_kept(index); }

    void reset(std::uint32_t index) { maps_->budgets.reset(index); }
    bool grant(std::uint32_t index, std::uint64_t octets, std::uint64_t boot_ns) {
        return maps_->budgets.grant(index, octets, boot_ns);
    }

  private:
    Result<std::uint32_t> take();

    kernel::Maps *maps_;
};

} // namespace penstock::sync
