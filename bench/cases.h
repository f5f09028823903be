// SPDX-License-Identifier: Apache-2.0
// The cases of the verdict's cost by BPF_PROG_TEST_RUN: each a packet, the state it meets and the budget. Rounds interleave them
// all with the empty program, since a machine's speed drifts.
#pragma once

#include "bench/figures.h"
#include "bench/world.h"

#include <vector>

namespace penstock::bench {

struct Effort {
    int rounds;
    int repeat; // runs of one packet in one sample
    int single; // packets of a sample that can be run once each: a query or answer that is used up
};

struct EmptyPrograms {
    int egress, ingress, sockops, clock; // the last reads it, for comparison
};

std::vector<Row> test_run_rows(World &, const EmptyPrograms &, const Effort &);
std::vector<Row> limited_rows(World &, const EmptyPrograms &, const Effort &); // limited_cases.cpp

} // namespace penstock::bench
