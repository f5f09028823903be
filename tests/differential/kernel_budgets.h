// SPDX-License-Identifier: Apache-2.0
// Limits and budgets in the maps of a KernelGate: its own map writer for what limits need, apart from userspace/.
#pragma once

#include "tests/differential/kernel_gate.h"

namespace penstock::differential {

class KernelBudgets {
  public:
    explicit KernelBudgets(const KernelGate &gate, std::uint32_t slot = KernelGate::slot)
        : gate_(gate), slot_(slot) {}

    void write(KernelGate::PolicyId, const policy::Image &);
    void erase(KernelGate::PolicyId, const policy::Image &);

    // Of the slot's container; `rule` 0: as a whole.
    void set(std::uint64_t rule, const abi::ps_budget &);
    abi::ps_budget get(std::uint64_t rule) const; // zero: nothing was ever charged

  private:
    const KernelGate &gate_;
    std::uint32_t slot_;
    std::uint32_t next_place_ = 0;
};

} // namespace penstock::differential
