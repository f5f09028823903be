// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/event.h"

#include "userspace/telemetry/names.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::telemetry {
namespace {

// How many events it tells of.
std::uint64_t told_by(const Event &event) {
    return event.kind == event_lost ? event.length : 1;
}

} // namespace

Event from_record(const abi::ps_event &record, std::chrono::nanoseconds monotonic_to_wall) {
    Event event;
    const std::chrono::nanoseconds wall(std::chrono::nanoseconds(record.time_ns) + monotonic_to_wall);
    event.time = std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(wall));
    event.kind = record.kind;
    event.cgroup_id = record.cgroup_id;
    event.generation = record.generation;
    event.hook = record.hook;
    event.direction = record.direction;
    event.verdict = record.verdict;
    event.reason = record.reason;
    event.protocol = record.protocol;
    event.query_type = record.query_type;
    event.local_port = record.local_port;
    event.remote_port = record.remote_port;
    event.local = address_text(record.local);
    event.remote = address_text(record.remote);
    event.length = record.length;
    event.pid = record.pid;
    if (record.pid != 0)
        event.comm = std::string(record.comm, ::strnlen(record.comm, sizeof record.comm));
    const auto *name = reinterpret_cast<const char *>(record.name);
    const std::string_view text(name, std::min<std::size_t>(record.name_length, sizeof record.name));
    if (record.kind == abi::PS_EVENT_DENIED)
        event.name = forward_name(text);
    else if (record.kind == abi::PS_EVENT_BORN)
        event.name = text;
    return event;
}

Event lost_event(std::chrono::system_clock::time_point time, std::uint64_t length) {
    Event gap;
    gap.time = time;
    gap.kind = event_lost;
    gap.length = length;
    return gap;
}

void EventLog::add(Event event) {
    events_.push_back(std::move(event));
    if (events_.size() > capacity_) {
        told_before_ += told_by(events_.front());
        events_.pop_front();
        ++first_;
    }
}

std::optional<Event> EventLog::next(EventPlace &place) {
    if (place.position >= end())
        return std::nullopt;
    if (place.position < first_) {
        auto gap = lost_event(events_.front().time, told_before_ - place.told);
        dropped_ += first_ - place.position;
        place = begin();
        return gap;
    }
    const Event &event = events_[place.position++ - first_];
    place.told += told_by(event);
    return event;
}

} // namespace penstock::telemetry
