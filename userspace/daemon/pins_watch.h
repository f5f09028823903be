// SPDX-License-Identifier: Apache-2.0
// Somebody may remove the pins or cut a link: what was enforced by it is off, and that must be seen.
#pragma once

#include "userspace/base/log.h"
#include "userspace/base/unique_fd.h"
#include "userspace/kernel/gate.h"

#include <string>

namespace penstock::daemon {

// Fills `trouble`, if it is empty, with what is wrong. It stays: pins of the same names may be another daemon's by now.
void look_at_pins(std::string &trouble, const kernel::Gate &, const UniqueFd &lock, const std::string &bpffs,
                  const Log &);

} // namespace penstock::daemon
