// SPDX-License-Identifier: Apache-2.0
// Text for a terminal: makes what came from outside harmless, and numbers readable. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::cli {

// What a hostile name could do to a terminal or its reader is written out: control characters (C0, DEL, C1)
// and octets that are not UTF-8 as \xNN, characters that turn or hide text (bidi, zero width, line
// separators, tags) as \u{NNNN}. All else is kept.
std::string printable(std::string_view text);

// One code point at `position`, which is moved behind it. Not UTF-8: -1, moved by one octet.
std::int32_t next_code_point(std::string_view text, std::size_t &position);

// True for code points that `printable` writes out.
bool is_unprintable(std::int32_t code_point);

// Code points, as a measure of columns.
std::size_t text_columns(std::string_view text);

// Cuts in the middle, so that both ends can be told: "/penst…/web". Columns of at least 1.
std::string shortened(std::string_view text, std::size_t columns);

std::string human_bytes(std::uint64_t bytes);      // "0 B", "999 B", "1.2 KiB", "34.0 GiB"
std::string human_count(std::uint64_t count);      // "12", "12.3k", "4.5M", "6.7G"
std::string human_duration(std::uint64_t seconds); // "45s", "3m 5s", "2h 5m", "3d 4h"

// "2026-01-31T12:00:00.123Z" to "12:00:00.123Z"; anything else as it is.
std::string time_of_day(std::string_view rfc3339);
// The same to "2026-01-31 12:00:00Z".
std::string date_and_time(std::string_view rfc3339);

} // namespace penstock::cli
