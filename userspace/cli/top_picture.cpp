// SPDX-License-Identifier: Apache-2.0
// What `penstock top` draws: columns that fit, most wanted first when there is no room. See top_table.h.
#include "userspace/cli/terminal_text.h"
#include "userspace/cli/top_table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace penstock::cli {
namespace {

struct Column {
    Field field;
    const char *title;
    std::size_t width;
    int worth; // the least goes first
};
// Behind the name, which has what is left.
constexpr std::array all_columns{
    Column{Field::egress, "EGRESS", 6, 9}, Column{Field::ingress, "INGRESS", 7, 7},
    Column{Field::packets, "PKTS", 5, 3},  Column{Field::connections, "CONNS", 5, 5},
    Column{Field::queries, "QUERY", 5, 4}, Column{Field::denials, "DENY", 5, 8},
    Column{Field::limits, "LIMIT", 5, 6},  Column{Field::idle, "IDLE", 5, 2},
    Column{Field::quota, "QUOTA", 10, 1},
};
constexpr std::size_t least_name = 10, wide = 110;
constexpr std::size_t bar = 5;

std::string quota_text(const Row &row) {
    if (row.quotas.empty())
        return "-";
    const Quota &fullest = row.quotas.front();
    const std::size_t full =
        fullest.is_spent ? bar : std::min<std::size_t>(fullest.per_cent * bar / 100, bar);
    const std::string number = fullest.is_spent ? "spent" : std::to_string(fullest.per_cent) + "%";
    return std::string(full, '#') + std::string(bar - full, '.') +
           std::string(number.size() < bar ? bar - number.size() : 0, ' ') + number;
}

Table::Cell cell_of(const Row &row, Field field) {
    switch (field) {
    case Field::name:
        return {printable(row.name), row.state == "dying" ? Tone::dim : Tone::plain};
    case Field::egress:
    case Field::ingress:
        return {short_bytes(row.rate(field))};
    case Field::denials:
        return {short_count(row.rate(field)), row.rate(field) > 0 ? Tone::bad : Tone::plain};
    case Field::limits:
        return {short_count(row.rate(field)), row.rate(field) > 0 ? Tone::warn : Tone::plain};
    case Field::idle:
        return {row.idle_s ? (row.is_idle_longer ? ">" : "") + short_duration(*row.idle_s) : "-"};
    case Field::quota: {
        const Quota fullest = row.quotas.empty() ? Quota() : row.quotas.front();
        return {quota_text(row), fullest.is_spent         ? Tone::bad
                                 : fullest.per_cent >= 80 ? Tone::warn
                                                          : Tone::plain};
    }
    default:
        return {short_count(row.rate(field))};
    }
}

std::vector<Column> columns_of(const std::vector<Row> &rows) {
    std::vector<Column> columns(all_columns.begin(), all_columns.end());
    if (std::all_of(rows.begin(), rows.end(), [](const Row &row) { return row.quotas.empty(); }))
        columns.pop_back();
    return columns;
}

// What is left for the name when these columns are drawn; 0: less than nothing.
std::size_t room_for_name(const std::vector<Column> &columns, std::size_t width, std::size_t gap) {
    std::size_t taken = 0;
    for (const Column &column : columns)
        taken += column.width + gap;
    return width > taken ? width - taken : 0;
}

std::string aligned(const std::string &text, std::size_t width, bool right) {
    const std::string cut = width == 0 ? "" : shortened(text, width);
    const std::string spaces(width - std::min(width, text_columns(cut)), ' ');
    return right ? spaces + cut : cut + spaces;
}

std::string title(std::size_t count, const View &view, double seconds, std::size_t shown) {
    std::array<char, 64> interval{};
    std::snprintf(interval.data(), interval.size(), "per second over %.1f s, ", seconds);
    std::string text = std::to_string(count) + (count == 1 ? " container, " : " containers, ") +
                       interval.data() + (view.reverse ? "by reverse " : "by ") +
                       std::string(field_name(view.sort));
    if (shown < count)
        text += ", " + std::to_string(view.first + 1) + " to " + std::to_string(view.first + shown);
    return text;
}

std::string header(const std::vector<Column> &columns, std::size_t name, std::size_t gap, const View &view,
                   bool colour) {
    const auto shown = [&](Field field, const std::string &text) {
        if (!colour)
            return text;
        return (field == view.sort ? "\x1b[7m" : "\x1b[2m") + text + "\x1b[0m";
    };
    std::string line = shown(Field::name, aligned("CONTAINER", name, false));
    for (const Column &column : columns)
        line += std::string(gap, ' ') + shown(column.field, aligned(column.title, column.width, true));
    return line;
}

} // namespace

std::vector<std::string> picture(const std::vector<Row> &sorted, View &view, double seconds,
                                 const std::string &trouble, const Picture &size) {
    std::vector<Column> columns = columns_of(sorted);
    const std::size_t gap = size.columns >= wide ? 2 : 1;
    while (!columns.empty() && room_for_name(columns, size.columns, gap) < least_name)
        columns.erase(std::min_element(columns.begin(), columns.end(),
                                       [](const Column &a, const Column &b) { return a.worth < b.worth; }));
    const std::size_t name = room_for_name(columns, size.columns, gap);
    const Terminal terminal{size.columns, size.colour};

    constexpr std::size_t above = 3; // title, keys, header
    const std::size_t room = size.lines > above ? size.lines - above : 0;
    view.first = std::min(view.first, sorted.size() - std::min(sorted.size(), room));
    const std::size_t shown = std::min(room, sorted.size() - view.first);

    std::vector<std::string> lines;
    if (size.columns == 0)
        return lines;
    const std::string said =
        trouble.empty() ? title(sorted.size(), view, seconds, shown) : printable(trouble);
    lines.push_back(
        toned(terminal, trouble.empty() ? Tone::plain : Tone::bad, shortened(said, size.columns)));
    const std::string keys = "sort: e i p c u(queries) d l z(idle) b(quota) n or < >   r reverse   q quit";
    lines.push_back(toned(terminal, Tone::dim, shortened(keys, size.columns)));
    lines.push_back(header(columns, name, gap, view, size.colour));
    for (std::size_t index = view.first; index < view.first + shown; ++index) {
        const Row &row = sorted[index];
        const Table::Cell first = cell_of(row, Field::name);
        std::string line = toned(terminal, first.tone, aligned(first.text, name, false));
        for (const Column &column : columns) {
            const Table::Cell cell = cell_of(row, column.field);
            line +=
                std::string(gap, ' ') + toned(terminal, cell.tone, aligned(cell.text, column.width, true));
        }
        lines.push_back(std::move(line));
    }
    lines.resize(std::min(lines.size(), size.lines));
    return lines;
}

Table plain_table(const std::vector<Row> &sorted) {
    const std::vector<Column> columns = columns_of(sorted);
    std::vector<Table::Column> heads{{"CONTAINER", Table::Align::left, true}};
    for (const Column &column : columns)
        heads.push_back({column.title, Table::Align::right});
    Table table(std::move(heads));
    for (const Row &row : sorted) {
        std::vector<Table::Cell> cells{{row.name, cell_of(row, Field::name).tone}};
        for (const Column &column : columns)
            cells.push_back(cell_of(row, column.field));
        table.row(std::move(cells));
    }
    return table;
}

} // namespace penstock::cli
