// SPDX-License-Identifier: Apache-2.0
// The clocks. The kernel side stamps with CLOCK_MONOTONIC; people and files want wall time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace penstock {

std::uint64_t monotonic_ns();
std::uint64_t boot_ns(); // CLOCK_BOOTTIME: goes on while the machine sleeps; windows of quotas
std::int64_t wall_ns();  // since 1970, UTC

// The wall time of a moment of CLOCK_MONOTONIC, by what both clocks say now.
std::int64_t wall_of_monotonic(std::uint64_t monotonic);

std::chrono::system_clock::time_point wall_time(std::int64_t wall);

// "2026-11-21T10:47:15.123456Z" (RFC 3339, microseconds).
std::string rfc3339(std::int64_t wall);

} // namespace penstock
