// SPDX-License-Identifier: Apache-2.0
// The units of sizes and times, as they are read (units.h) and written (limit_text.h). Private to policy/.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::policy {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};
inline constexpr Unit size_units[] = {
    {"B", 1},
    {"KB", 1000},
    {"KiB", 1ull << 10},
    {"MB", 1000'000},
    {"MiB", 1ull << 20},
    {"GB", 1000'000'000},
    {"GiB", 1ull << 30},
    {"TB", 1000'000'000'000},
    {"TiB", 1ull << 40},
};
// Of two names of a unit the first is written.
inline constexpr Unit time_units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}};

} // namespace penstock::policy
