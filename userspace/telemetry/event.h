// SPDX-License-Identifier: Apache-2.0
// One event with names, and the bounded memory of the last ones. No kernel, no I/O: readers keep their own
// place and never hold the writer up; what they miss they are told as a number.
#pragma once

#include "bpf/abi.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::telemetry {

// Not from the kernel: `length` events are missing at this place.
constexpr std::uint8_t event_lost = 255;

// Not from the kernel's ring: what a flow has carried since its last record, or since it began.
constexpr std::uint8_t event_flow = 254;

// Nor this: the map `name` is `length` per cent full.
constexpr std::uint8_t event_pressure = 253;

struct FlowSums {
    std::chrono::system_clock::time_point begun, from; // the flow; what is counted here
    std::uint64_t egress_packets = 0, egress_bytes = 0, ingress_packets = 0, ingress_bytes = 0;
    std::string_view end; // "active", "closed", "reset", "idle", "gone"
};

struct Event {
    std::chrono::system_clock::time_point time;
    std::uint8_t kind = 0; // abi::ps_event_kind, or one of those above
    std::uint64_t cgroup_id = 0;
    std::string container, policy, rule;
    std::uint32_t generation = 0; // of the policy that judged; 0: none
    std::uint8_t hook = 0, direction = 0, verdict = 0, reason = 0, protocol = 0;
    std::uint16_t query_type = 0, local_port = 0, remote_port = 0;
    std::string local, remote; // address texts
    std::uint32_t pid = 0;     // of the task that asked, 0 where the hook sees a packet
    std::string comm;          // as the task calls itself; octets of any value
    std::string name;          // as people write it; octets of any value
    std::uint64_t length = 0;  // octets; of a quota or map: per cent of it; of lost: events
    std::optional<FlowSums> flow;
};

// The record's own fields; container, policy and rule are the caller's, who knows them. `monotonic_to_wall` is
// what to add to the kernel's clock.
Event from_record(const abi::ps_event &, std::chrono::nanoseconds monotonic_to_wall);

Event lost_event(std::chrono::system_clock::time_point, std::uint64_t length);

// A reader's place in the log: the event it wants next, and how many it was told of so far, lost ones too.
struct EventPlace {
    std::uint64_t position = 0, told = 0;
};

class EventLog {
  public:
    explicit EventLog(std::size_t capacity) : capacity_(capacity) {}

    void add(Event);

    // The event at the reader's place, which moves on from begin(). Where events were dropped before they were read, an
    // event of kind `event_lost` stands for them, and for those that were already lost there. None: nothing new.
    std::optional<Event> next(EventPlace &);

    EventPlace begin() const { return {first_, told_before_}; }
    std::uint64_t end() const { return first_ + events_.size(); }
    std::uint64_t dropped() const { return dropped_; } // at slow readers, all together

  private:
    std::size_t capacity_;
    std::deque<Event> events_;
    std::uint64_t first_ = 0;       // position of events_.front()
    std::uint64_t told_before_ = 0; // EventPlace::told there
    std::uint64_t dropped_ = 0;
};

} // namespace penstock::telemetry
