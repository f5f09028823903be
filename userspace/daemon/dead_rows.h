// SPDX-License-Identifier: Apache-2.0
// Keeps rows that time has made useless out of the shared maps. Not needed for correctness, as each container's caps hold
// without it.
#pragma once

#include "userspace/base/log.h"
#include "userspace/daemon/async.h"
#include "userspace/kernel/gate.h"

namespace penstock::daemon {

// Every minute, without an end. In slices, so that a change of policy, which needs the pool too, does not wait.
boost::asio::awaitable<void> clear_dead_rows(boost::asio::thread_pool &, kernel::Gate &, const Log &);

} // namespace penstock::daemon
