// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/pins_watch.h"

#include "userspace/kernel/pin_lock.h"

namespace penstock::daemon {
namespace {

std::string listed(const std::vector<std::string> &names) {
    std::string list;
    for (const auto &name : names)
        list += (list.empty() ? "" : ", ") + name;
    return list;
}

} // namespace

void look_at_pins(std::string &trouble, const kernel::Gate &gate, const UniqueFd &lock,
                  const std::string &bpffs, const Log &log) {
    if (!trouble.empty())
        return;
    const auto lost = gate.lost_pins();
    if (!lost.links.empty())
        trouble = "enforcement was taken off, restart penstockd: links are gone: " + listed(lost.links);
    else if (!lost.maps.empty())
        trouble = "what was learned will not outlive penstockd, restart it: pins of maps are gone: " +
                  listed(lost.maps);
    else if (!kernel::is_still_there(lock, bpffs))
        trouble = "the folder of the pins was replaced, restart penstockd: " + bpffs;
    if (!trouble.empty())
        log.error(trouble);
}

} // namespace penstock::daemon
