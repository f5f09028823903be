// SPDX-License-Identifier: Apache-2.0
// A table of text with aligned columns. Knows only cells; every cell is made printable on its way in.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

enum class Tone { plain, good, bad, warn, dim };

struct Terminal {
    std::size_t columns = 0; // 0: not a terminal, nothing is shortened
    bool colour = false;
};

// `text` in its colour where the terminal has any. The text must be printable already.
std::string toned(const Terminal &, Tone, std::string_view text);
Tone verdict_tone(std::string_view verdict); // allow, deny, would-deny, none

class Table {
  public:
    enum class Align { left, right };
    struct Column {
        std::string title;
        Align align = Align::left;
        bool shrinks = false; // may be shortened when the terminal is too narrow
    };
    struct Cell {
        std::string text;
        Tone tone = Tone::plain;
    };

    explicit Table(std::vector<Column> columns);
    void row(std::vector<Cell> cells); // missing cells are empty
    bool empty() const { return rows_.empty(); }
    void print(std::ostream &, const Terminal &) const;

  private:
    std::vector<std::size_t> widths(const Terminal &) const;

    std::vector<Column> columns_;
    std::vector<std::vector<Cell>> rows_;
};

// "name   value" lines, values aligned.
class Facts {
  public:
    void add(std::string name, std::string_view value, Tone tone = Tone::plain);
    void print(std::ostream &, const Terminal &) const;

  private:
    struct Fact {
        std::string name, value;
        Tone tone;
    };
    std::vector<Fact> facts_;
};

} // namespace penstock::cli
