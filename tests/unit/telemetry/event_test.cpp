// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/event.h"

#include <catch2/catch.hpp>
#include <cstring>

using namespace penstock;
using namespace penstock::telemetry;

namespace {

Event numbered(std::uint64_t number) {
    Event event;
    event.kind = abi::PS_EVENT_DENIED;
    event.length = number;
    return event;
}

} // namespace

TEST_CASE("a record of the ring becomes an event with texts") {
    abi::ps_event record{};
    record.time_ns = 1'000'000'000;
    record.kind = abi::PS_EVENT_DENIED;
    record.hook = abi::PS_HOOK_SENDMSG;
    record.verdict = abi::PS_DENY;
    record.reason = abi::PS_R_NAME_NOT_ALLOWED;
    record.query_type = 28;
    record.remote_port = 53;
    record.remote[10] = record.remote[11] = 0xff;
    record.remote[12] = 192;
    record.remote[14] = 2;
    record.name_length = 4;
    std::memcpy(record.name, "gro\0", 4);
    const auto event = from_record(record, std::chrono::seconds(5));
    CHECK(event.time == std::chrono::system_clock::time_point(std::chrono::seconds(6)));
    CHECK(event.name == "org");
    CHECK(event.remote == "192.0.2.0");
    CHECK(event.local.empty());
    CHECK(event.remote_port == 53);
}

TEST_CASE("a length that lies about the name reads no further than the record") {
    abi::ps_event record{};
    record.kind = abi::PS_EVENT_BORN;
    record.name_length = 65535;
    std::memset(record.name, 'a', sizeof record.name);
    CHECK(from_record(record, {}).name.size() == sizeof record.name);
}

TEST_CASE("readers see every event that is held, in order") {
    EventLog log(3);
    auto place = log.begin();
    CHECK_FALSE(log.next(place));
    for (std::uint64_t i = 1; i <= 3; ++i)
        log.add(numbered(i));
    for (std::uint64_t i = 1; i <= 3; ++i)
        CHECK(log.next(place)->length == i);
    CHECK_FALSE(log.next(place));
    CHECK(log.dropped() == 0);
}

TEST_CASE("a slow reader is told how many events it missed, and the writer never waited") {
    EventLog log(3);
    auto place = log.begin();
    for (std::uint64_t i = 1; i <= 10; ++i)
        log.add(numbered(i));
    const auto gap = log.next(place);
    REQUIRE(gap);
    CHECK(gap->kind == event_lost);
    CHECK(gap->length == 7);
    CHECK(log.next(place)->length == 8);
    CHECK(log.dropped() == 7);
}

TEST_CASE("what was lost before a reader lost it, too, is in the number it is told") {
    EventLog log(3);
    auto place = log.begin();
    log.add(numbered(1));
    CHECK(log.next(place)->length == 1);
    log.add(lost_event({}, 50'000)); // by the kernel's ring
    for (std::uint64_t i = 2; i <= 5; ++i)
        log.add(numbered(i));
    const auto gap = log.next(place);
    REQUIRE(gap);
    CHECK(gap->kind == event_lost);
    CHECK(gap->length == 50'000 + 1);
    CHECK(log.next(place)->length == 3);
    CHECK(log.dropped() == 2);
    auto later = log.begin();
    for (std::uint64_t i = 3; i <= 5; ++i)
        CHECK(log.next(later)->length == i);
}
