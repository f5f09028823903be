// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/lsm_list.h"

#include "userspace/kernel/families.h"

#include <fstream>

namespace penstock::kernel {

void judge_lsm(Feature &feature) {
    std::ifstream file("/sys/kernel/security/lsm");
    std::string module;
    if (!file) {
        feature.state = Feature::State::degraded;
        feature.detail = "attached, but securityfs is not mounted, so whether \"bpf\" is an active security "
                         "module is not known";
        feature.loses = optional_families[0].loses;
        return;
    }
    while (std::getline(file, module, ','))
        if (module == "bpf" || module == "bpf\n")
            return;
    feature = lost(optional_families[0], "\"bpf\" is not in /sys/kernel/security/lsm: boot with it in lsm=");
}

} // namespace penstock::kernel
