// SPDX-License-Identifier: Apache-2.0
// The first contents of the maps. Before anything is attached, so nobody reads them yet.
#pragma once

#include "userspace/kernel/gate.h"

namespace penstock::kernel {

// True: the maps had been initialised before and were left alone, but for the caps of the options.
Result<bool> initialise(Maps &, const GateOptions &, std::uint64_t root_id, std::uint32_t root_level);

} // namespace penstock::kernel
