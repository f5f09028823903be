// SPDX-License-Identifier: Apache-2.0
// penstockd: puts the parts together and keeps them going. One io_context on one thread owns all state; a pool of one thread
// runs what blocks, and another judges texts that change nothing. Nothing the kernel enforces depends on this process.
#pragma once

#include "userspace/base/log.h"
#include "userspace/base/result.h"
#include "userspace/daemon/config.h"

#include <string>
#include <vector>

namespace penstock::daemon {

// Runs until SIGTERM or SIGINT; enforcement stays. The error of a start that failed.
Result<void> run_daemon(const Config &, const Log &);

// Takes all enforcement off: refused while a daemon lives, who would hold on to it.
Result<std::vector<std::string>> detach(const Config &);

} // namespace penstock::daemon
