// SPDX-License-Identifier: Apache-2.0
// The cost of real packets of real sockets: BPF_PROG_TEST_RUN gives a packet a socket of no protocol, so what a TCP socket
// remembers is never asked there. Here the programs and the empty ones are attached to the container's cgroup, see the same packets,
// and the kernel counts their runs and time.
#pragma once

#include "bench/cases.h"

#include <filesystem>

namespace penstock::bench {

// `cgroup`: the one the calling process is in. `outside`: one where the server goes.
std::vector<Row> live_rows(World &, const EmptyPrograms &, const std::filesystem::path &cgroup,
                           const std::filesystem::path &outside, const Effort &);

} // namespace penstock::bench
