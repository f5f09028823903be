// SPDX-License-Identifier: Apache-2.0
// Whether an attached LSM program is ever called: the kernel attaches it either way.
#pragma once

#include "userspace/kernel/features.h"

namespace penstock::kernel {

// Makes an `on` into `off` or `degraded` by the kernel's list of active modules.
void judge_lsm(Feature &);

} // namespace penstock::kernel
