// SPDX-License-Identifier: Apache-2.0
// When each container last did anything, as far as readings of its counters tell. Pure: the caller reads and knows the
// time (CLOCK_MONOTONIC). True as of the last reading alone: who woke since is not known to be awake. A new daemon knows
// nothing of the time before it.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

namespace penstock::telemetry {

class Activity {
  public:
    struct Idle {
        std::optional<std::uint64_t> last_ns; // none: nothing was seen
        std::uint64_t since_ns = 0;           // from when on we would have seen it
        std::uint64_t as_of_ns = 0;           // until when
    };

    // A round: begin, what each slot has counted in all, end. Slots that were not looked at are forgotten.
    void begin(std::uint64_t now_ns);
    void look(std::uint32_t slot, std::uint32_t serial, std::uint64_t born_ns, std::uint64_t counted);
    void end();

    std::optional<Idle> of(std::uint32_t slot, std::uint32_t serial) const; // none: not looked at yet

  private:
    struct Seen {
        std::uint32_t serial = 0;
        std::uint64_t counted = 0, round = 0;
        Idle idle;
    };
    std::unordered_map<std::uint32_t, Seen> slots_;
    std::uint64_t round_ = 0, now_ns_ = 0, first_ns_ = 0;
};

} // namespace penstock::telemetry
