// SPDX-License-Identifier: Apache-2.0
// The kernel's memory of budgets, as the programs write it.
#pragma once

#include "tests/live/own_cgroup.h"

#include "userspace/base/unique_fd.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace penstock::test {

inline kernel::MappedArray budgets_of(const OwnCgroup &own) {
    const std::string pin = own.options().bpffs / "maps/budgets";
    bpf_attr attr{};
    attr.pathname = reinterpret_cast<std::uintptr_t>(pin.c_str());
    const UniqueFd fd(static_cast<int>(::syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof attr)));
    return std::move(
        kernel::MappedArray::open(fd.get(), "budgets", abi::PS_BUDGETS * sizeof(abi::ps_budget)).value());
}

} // namespace penstock::test
