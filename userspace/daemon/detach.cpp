// SPDX-License-Identifier: Apache-2.0
// --detach-all. Both locks of a living daemon are asked for, as this command may have been given other directories than it.
#include "userspace/daemon/daemon.h"
#include "userspace/daemon/lock.h"
#include "userspace/kernel/pin_lock.h"
#include "userspace/kernel/unload.h"

#include <unistd.h>
#include <utility>

namespace penstock::daemon {

Result<std::vector<std::string>> detach(const Config &config) {
    UniqueFd state, pins;
    if (::access(config.state_dir.c_str(), F_OK) == 0) {
        auto lock = lock_state(config.state_dir);
        if (!lock)
            return lock.error().in("stop it first");
        state = std::move(*lock);
    }
    if (!kernel::has_no_pins(config.bpffs)) {
        auto lock = kernel::lock_pins(config.bpffs);
        if (!lock)
            return lock.error().in("stop it first");
        pins = std::move(*lock);
    }
    return kernel::detach_all(config.bpffs);
}

} // namespace penstock::daemon
