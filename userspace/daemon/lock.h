// SPDX-License-Identifier: Apache-2.0
// The state directory has one user: two daemons on one set of maps would undo each other.
#pragma once

#include "userspace/base/result.h"
#include "userspace/base/unique_fd.h"

#include <string>

namespace penstock::daemon {

// Held as long as the descriptor is. One that was killed may need a moment until the kernel has closed what it held.
Result<UniqueFd> lock_state(const std::string &state_dir);

} // namespace penstock::daemon
