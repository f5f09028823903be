// SPDX-License-Identifier: Apache-2.0
// One program, one packet, a clock: BPF_PROG_TEST_RUN, and the kernel's own count of a program's real runs.
#pragma once

#include "tests/differential/packet.h"

#include <cstdint>

namespace penstock::bench {

using differential::Octets;

struct Ran {
    double ns = 0; // of one run, the kernel's harness included
    bool passed = false;
};

// Throws std::runtime_error when the kernel refuses.
Ran run(int program, const Octets &frame, unsigned ifindex, int repeat);

struct RunCount { // of a program's runs on real packets, while statistics are on
    std::uint64_t ns = 0, runs = 0;
};
RunCount run_count(int program);

// The kernel counts runs and their time while this exists.
class Statistics {
  public:
    Statistics();
    ~Statistics();
    Statistics(const Statistics &) = delete;
    Statistics &operator=(const Statistics &) = delete;

  private:
    int fd_;
};

} // namespace penstock::bench
