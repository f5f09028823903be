// SPDX-License-Identifier: Apache-2.0
// See table.h.
#include "userspace/cli/table.h"

#include "userspace/cli/terminal_text.h"

#include <algorithm>
#include <ostream>

namespace penstock::cli {
namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t least_shrunk = 8;

std::string padded(const std::string &text, std::size_t width, Table::Align align) {
    const std::size_t columns = text_columns(text);
    const std::string spaces(width > columns ? width - columns : 0, ' ');
    return align == Table::Align::right ? spaces + text : text + spaces;
}

} // namespace

std::string toned(const Terminal &terminal, Tone tone, std::string_view text) {
    if (!terminal.colour || tone == Tone::plain)
        return std::string(text);
    const char *code = tone == Tone::good ? "32" : tone == Tone::bad ? "31" : tone == Tone::warn ? "33" : "2";
    return std::string("\x1b[") + code + "m" + std::string(text) + "\x1b[0m";
}

Tone verdict_tone(std::string_view verdict) {
    return verdict == "allow"  ? Tone::good
           : verdict == "deny" ? Tone::bad
           : verdict == "none" ? Tone::dim
                               : Tone::warn;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::row(std::vector<Cell> cells) {
    cells.resize(columns_.size());
    for (Cell &cell : cells)
        cell.text = cell.text.empty() ? "-" : printable(cell.text);
    rows_.push_back(std::move(cells));
}

// Natural widths, then the widest shrinking column gives way, one column at a time, until the line fits.
std::vector<std::size_t> Table::widths(const Terminal &terminal) const {
    std::vector<std::size_t> result;
    for (std::size_t index = 0; index < columns_.size(); ++index) {
        std::size_t width = text_columns(columns_[index].title);
        for (const auto &cells : rows_)
            width = std::max(width, text_columns(cells[index].text));
        result.push_back(width);
    }
    if (terminal.columns == 0)
        return result;
    std::size_t total = gap * (columns_.empty() ? 0 : columns_.size() - 1);
    for (const std::size_t width : result)
        total += width;
    while (total > terminal.columns) {
        std::size_t widest = columns_.size();
        for (std::size_t index = 0; index < columns_.size(); ++index) {
            const bool better = widest == columns_.size() || result[index] > result[widest];
            if (columns_[index].shrinks && result[index] > least_shrunk && better)
                widest = index;
        }
        if (widest == columns_.size())
            break;
        --result[widest];
        --total;
    }
    return result;
}

void Table::print(std::ostream &out, const Terminal &terminal) const {
    const std::vector<std::size_t> width = widths(terminal);
    const auto line = [&](auto &&cell_of, auto &&tone_of) {
        for (std::size_t index = 0; index < columns_.size(); ++index) {
            const std::string text = shortened(cell_of(index), width[index]);
            const bool last = index + 1 == columns_.size();
            const bool bare = last && columns_[index].align == Align::left;
            out << toned(terminal, tone_of(index),
                         bare ? text : padded(text, width[index], columns_[index].align))
                << (last ? "\n" : std::string(gap, ' '));
        }
    };
    line([&](std::size_t index) -> const std::string & { return columns_[index].title; },
         [](std::size_t) { return Tone::dim; });
    for (const auto &cells : rows_)
        line([&](std::size_t index) -> const std::string & { return cells[index].text; },
             [&](std::size_t index) { return cells[index].tone; });
}

void Facts::add(std::string name, std::string_view value, Tone tone) {
    facts_.push_back({std::move(name), value.empty() ? "-" : printable(value), tone});
}

void Facts::print(std::ostream &out, const Terminal &terminal) const {
    std::size_t width = 0;
    for (const Fact &fact : facts_)
        width = std::max(width, text_columns(fact.name));
    for (const Fact &fact : facts_)
        out << toned(terminal, Tone::dim, padded(fact.name, width, Table::Align::left))
            << std::string(gap, ' ') << toned(terminal, fact.tone, fact.value) << "\n";
}

} // namespace penstock::cli
