// SPDX-License-Identifier: Apache-2.0
// --detach-all, under the lock of the pins: that of the state directory says nothing, as another daemon may use the same
// pins, and the one that is named here other pins.
#include "userspace/daemon/daemon.h"
#include "userspace/kernel/pin_lock.h"
#include "userspace/kernel/unload.h"

#include <cerrno>
#include <utility>

namespace penstock::daemon {

Result<std::vector<std::string>> detach(const Config &config) {
    if (kernel::has_no_pins(config.bpffs))
        return std::vector<std::string>();
    const auto lock = kernel::lock_pins(config.bpffs);
    if (!lock)
        return lock.error().code == EBUSY ? lock.error().in("stop it first") : lock.error();
    return kernel::detach_all(config.bpffs);
}

} // namespace penstock::daemon
