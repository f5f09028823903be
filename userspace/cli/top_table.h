// SPDX-License-Identifier: Apache-2.0
// The picture that `penstock top` shows: rows in an order, in a given width and height, moved by keys. Pure.
#pragma once

#include "userspace/cli/table.h"
#include "userspace/cli/top_rates.h"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

// What the user has chosen.
struct View {
    Field sort = Field::egress;
    bool reverse = false;  // names begin with a, everything else with the most; reversed: the other way round
    std::size_t first = 0; // row at the top
    bool quit = false;
};

std::optional<Field> field_named(std::string_view);
std::string_view field_name(Field);
std::string field_names(); // "name, egress, ..."

// "500ms", "2s", "2", "1m": 100 ms to an hour.
std::optional<std::chrono::milliseconds> interval_of(std::string_view);

// Octets as a terminal in raw mode sends them: letters, arrows, page keys. Unknown ones do nothing.
void press(View &, std::string_view keys);

void sort_rows(std::vector<Row> &, const View &);

// At most five columns: "0", "0.5", "9999", "12.3k", "4M"; of bytes, in powers of 1024: "999", "1.2K", "512M".
std::string short_count(double);
std::string short_bytes(double);
std::string short_duration(std::uint64_t seconds); // at most four: "59s", "12m", "23h", "400d"

struct Picture {
    std::size_t columns = 80, lines = 24;
    bool colour = false;
};
// At most so many lines of at most so many columns, with colour codes if wanted. `trouble`: what went wrong with the last
// reading, or "". The first row of the view is kept within the rows.
std::vector<std::string> picture(const std::vector<Row> &sorted, View &, double seconds,
                                 const std::string &trouble, const Picture &);

// For one look, and for what is no terminal: every row.
Table plain_table(const std::vector<Row> &sorted);

} // namespace penstock::cli
