// SPDX-License-Identifier: Apache-2.0
// See top_table.h. The order of rows, the keys, and short numbers; the picture is top_picture.cpp's.
#include "userspace/cli/top_table.h"

#include "userspace/cli/terminal_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace penstock::cli {
namespace {

struct FieldWord {
    Field field;
    char key;
    const char *name;
};
// In the order of the columns. q is for quit: queries have u.
constexpr std::array words{
    FieldWord{Field::name, 'n', "name"},
    FieldWord{Field::egress, 'e', "egress"},
    FieldWord{Field::ingress, 'i', "ingress"},
    FieldWord{Field::packets, 'p', "packets"},
    FieldWord{Field::connections, 'c', "connections"},
    FieldWord{Field::queries, 'u', "queries"},
    FieldWord{Field::denials, 'd', "denials"},
    FieldWord{Field::limits, 'l', "limits"},
    FieldWord{Field::idle, 'z', "idle"},
    FieldWord{Field::quota, 'b', "quota"},
};

constexpr std::size_t page = 10; // rows

void move_sort(View &view, bool right) {
    const auto at = static_cast<std::size_t>(view.sort);
    view.sort = static_cast<Field>((at + (right ? 1 : words.size() - 1)) % words.size());
    view.reverse = false;
}

void scroll(View &view, bool down, std::size_t rows) {
    view.first = down ? view.first + rows : view.first - std::min(view.first, rows);
}

// "ESC [ A" and the like: what is behind ESC [ or ESC O.
void press_sequence(View &view, std::string_view sequence) {
    if (sequence == "A" || sequence == "B")
        scroll(view, sequence == "B", 1);
    else if (sequence == "5~" || sequence == "6~")
        scroll(view, sequence == "6~", page);
    else if (sequence == "C" || sequence == "D")
        move_sort(view, sequence == "C");
    else if (sequence == "H" || sequence == "1~")
        view.first = 0;
    else if (sequence == "F" || sequence == "4~")
        view.first = SIZE_MAX / 2; // the picture knows where the end is
}

void press_letter(View &view, char letter) {
    if (letter == 'q' || letter == 'Q' || letter == '\x03')
        view.quit = true;
    if (letter == 'r')
        view.reverse = !view.reverse;
    for (const FieldWord &word : words)
        if (word.key == letter) {
            view.sort = word.field;
            view.reverse = false;
        }
}

// Spent ones before those that are only fuller.
double quota_rank(const Quota &quota) {
    return static_cast<double>(quota.per_cent) + (quota.is_spent ? 1000 : 0);
}

double rank(const Row &row, Field field) {
    if (field == Field::idle)
        return row.idle_s ? static_cast<double>(*row.idle_s) : -1;
    if (field == Field::quota)
        return row.quotas.empty() ? -1 : quota_rank(row.quotas.front());
    return row.rate(field);
}

std::string text_of(const char *format, double value, const char *unit) {
    std::array<char, 32> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, value, unit);
    return buffer.data();
}

// Cut, not rounded, so that 999.96k does not become 1000.0k: at most five columns up to 999 of the last unit.
std::string short_number(double value, double base, const char *const *units, double bare) {
    if (!(value > 0))
        return "0";
    if (value < 10 && value < std::ceil(value))
        return value < 0.1 ? "<0.1" : text_of("%.1f%s", std::floor(value * 10) / 10, "");
    if (value < bare)
        return text_of("%.0f%s", std::floor(value), "");
    for (value /= base; value >= base && units[1] != nullptr; value /= base)
        ++units;
    return value < 100 ? text_of("%.1f%s", std::floor(value * 10) / 10, *units)
                       : text_of("%.0f%s", std::min(std::floor(value), 9999.0), *units);
}

} // namespace

std::optional<Field> field_named(std::string_view name) {
    for (const FieldWord &word : words)
        if (name == word.name)
            return word.field;
    return std::nullopt;
}

std::string_view field_name(Field field) {
    return words[static_cast<std::size_t>(field)].name;
}

std::string field_names() {
    std::string all;
    for (const FieldWord &word : words)
        all += (all.empty() ? "" : ", ") + std::string(word.name);
    return all;
}

std::optional<std::chrono::milliseconds> interval_of(std::string_view text) {
    constexpr std::uint64_t least = 100, most = 3'600'000;
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    const std::uint64_t each = unit == "ms"                  ? 1
                               : unit == "s" || unit.empty() ? 1000
                               : unit == "m"                 ? 60'000
                                                             : 0;
    if (error != std::errc() || number > most || number * each < least || number * each > most)
        return std::nullopt;
    return std::chrono::milliseconds(number * each);
}

void press(View &view, std::string_view keys) {
    for (std::size_t at = 0; at < keys.size(); ++at) {
        if (keys[at] != '\x1b') {
            press_letter(view, keys[at]);
            continue;
        }
        if (at + 1 >= keys.size() || (keys[at + 1] != '[' && keys[at + 1] != 'O'))
            continue; // a lone escape
        std::size_t end = at + 2;
        while (end < keys.size() && (keys[end] < '@' || keys[end] > '~'))
            ++end;
        press_sequence(view, keys.substr(at + 2, end + 1 - (at + 2)));
        at = end;
    }
}

void sort_rows(std::vector<Row> &rows, const View &view) {
    std::sort(rows.begin(), rows.end(), [&](const Row &a, const Row &b) {
        const bool by_name = view.sort == Field::name;
        const double left = by_name ? 0 : rank(a, view.sort), right = by_name ? 0 : rank(b, view.sort);
        if (left != right)
            return view.reverse ? left < right : left > right;
        if (by_name && view.reverse)
            return std::pair(a.name, a.cgroup_id) > std::pair(b.name, b.cgroup_id);
        return std::pair(a.name, a.cgroup_id) < std::pair(b.name, b.cgroup_id);
    });
}

std::string short_count(double value) {
    static constexpr const char *units[] = {"k", "M", "G", "T", "P", "E", nullptr};
    return short_number(value, 1000, units, 10000);
}

std::string short_bytes(double value) {
    static constexpr const char *units[] = {"K", "M", "G", "T", "P", "E", nullptr};
    return short_number(value, 1024, units, 1024);
}

std::string short_duration(std::uint64_t seconds) {
    if (seconds < 60)
        return std::to_string(seconds) + "s";
    if (seconds < 3600)
        return std::to_string(seconds / 60) + "m";
    if (seconds < 86400)
        return std::to_string(seconds / 3600) + "h";
    return std::to_string(std::min<std::uint64_t>(seconds / 86400, 999)) + "d";
}

} // namespace penstock::cli
