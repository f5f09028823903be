// SPDX-License-Identifier: Apache-2.0
// The flow log's rows: told of now and then, and given back when their conversation has ended. The programs fill them by
// themselves; while nobody looks they go on adding up, until a container has as many as it may.
#pragma once

#include "bpf/abi.h"
#include "userspace/base/result.h"
#include "userspace/kernel/gate.h"

#include <cstdint>
#include <vector>

namespace penstock::sync {

enum class FlowEnd : std::uint8_t {
    active = 0, // it goes on
    closed = 1, // both sides said FIN
    reset = 2,  // one said RST
    idle = 3,   // silent for too long; should it speak again, that is another flow
    gone = 4,   // its container is
};

struct FlowRecord {
    abi::ps_flow row{}; // its sums since it began
    FlowEnd end = FlowEnd::active;
    std::uint64_t from_ns = 0; // what is new since then: the last record's time, or the flow's beginning
    // What it carried since; by ps_direction.
    std::uint64_t packets(int way) const { return row.packets[way] - row.told_packets[way]; }
    std::uint64_t bytes(int way) const { return row.bytes[way] - row.told_bytes[way]; }
};

class FlowRows {
  public:
    static constexpr std::uint64_t interval_ns = 60'000'000'000; // a long flow's records
    static constexpr std::uint64_t idle_ns =
        120'000'000'000; // then it has ended (as a UDP peer's right to be answered)
    static constexpr std::uint64_t linger_ns =
        2'000'000'000; // after a FIN or RST: the last packets are on their way

    explicit FlowRows(kernel::Gate &gate) : maps_(&gate.maps()) {} // `gate` outlives this

    // Looks at every row: those that ended and those that are due, `monotonic` being now. At least a second apart: a row
    // that is found to have ended is taken out of the programs' sight, and told of and freed by the next look.
    Result<std::vector<FlowRecord>> look(std::uint64_t monotonic);

  private:
    FlowEnd end_of(const abi::ps_flow &, std::uint64_t now) const;
    Result<void> hide(std::uint32_t index, const abi::ps_flow &, FlowEnd);
    Result<void> free(std::uint32_t index, const abi::ps_flow &);

    kernel::Maps *maps_;
};

} // namespace penstock::sync
