// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/features.h"

namespace penstock::kernel {

const char *text(Feature::State state) {
    switch (state) {
    case Feature::State::on:
        return "on";
    case Feature::State::degraded:
        return "degraded";
    case Feature::State::off:
        break;
    }
    return "off";
}

} // namespace penstock::kernel
