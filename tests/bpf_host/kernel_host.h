// SPDX-License-Identifier: Apache-2.0
// What the kernel gives programs that are built for the host: maps, two clocks, a ring of events.
#pragma once

#include "bpf/abi.h"

#include <cstdint>
#include <vector>

namespace penstock::bpf_host {

struct Kernel {
    std::uint64_t monotonic_ns = 0, boot_ns = 0;
    std::vector<abi::ps_event> events; // of all rings, in order

    // The one that the programs see. `forget` empties its maps and rings; clocks stay.
    static Kernel &get();
    void forget();
};

} // namespace penstock::bpf_host
