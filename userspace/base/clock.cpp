// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/clock.h"

#include <cstdio>
#include <ctime>

namespace penstock {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

std::int64_t read_clock(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now); // cannot fail for these clocks
    return now.tv_sec * second_ns + now.tv_nsec;
}

} // namespace

std::uint64_t monotonic_ns() {
    return static_cast<std::uint64_t>(read_clock(CLOCK_MONOTONIC));
}

std::uint64_t boot_ns() {
    return static_cast<std::uint64_t>(read_clock(CLOCK_BOOTTIME));
}

std::int64_t wall_ns() {
    return read_clock(CLOCK_REALTIME);
}

std::int64_t wall_of_monotonic(std::uint64_t monotonic) {
    return wall_ns() - (static_cast<std::int64_t>(monotonic_ns()) - static_cast<std::int64_t>(monotonic));
}

std::chrono::system_clock::time_point wall_time(std::int64_t wall) {
    using Clock = std::chrono::system_clock;
    return Clock::time_point(std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(wall)));
}

std::string rfc3339(std::int64_t wall) {
    std::int64_t seconds = wall / second_ns;
    std::int64_t rest = wall % second_ns;
    if (rest < 0) {
        rest += second_ns;
        seconds -= 1;
    }
    const std::time_t whole = seconds;
    std::tm parts{};
    ::gmtime_r(&whole, &parts);
    char text[64];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + length, sizeof text - length, ".%06dZ", static_cast<int>(rest / 1000));
    return text;
}

} // namespace penstock
