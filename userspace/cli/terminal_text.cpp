// SPDX-License-Identifier: Apache-2.0
// See terminal_text.h. Knows nothing of tables, JSON or the daemon.
#include "userspace/cli/terminal_text.h"

#include <array>
#include <cstdio>

namespace penstock::cli {
namespace {

struct Span {
    std::int32_t first, last;
};

// Invisible, or changes the direction or place of what stands around it.
constexpr std::array hidden{
    Span{0x00AD, 0x00AD}, Span{0x034F, 0x034F}, Span{0x061C, 0x061C},   Span{0x115F, 0x1160},
    Span{0x17B4, 0x17B5}, Span{0x180B, 0x180F}, Span{0x200B, 0x200F},   Span{0x2028, 0x202E},
    Span{0x2060, 0x206F}, Span{0x3164, 0x3164}, Span{0xFE00, 0xFE0F},   Span{0xFEFF, 0xFEFF},
    Span{0xFFA0, 0xFFA0}, Span{0xFFF0, 0xFFFB}, Span{0xE0000, 0xE0FFF},
};

bool is_control(std::int32_t code_point) {
    return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
}

std::string hex(const char *format, unsigned value) {
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(), format, value);
    return buffer.data();
}

// 1.25 with one decimal would need floating point for no gain: tenths are cut, never rounded up.
std::string scaled(std::uint64_t value, std::uint64_t unit, const char *name) {
    const std::uint64_t tenths = value % unit / (unit / 10);
    return std::to_string(value / unit) + "." + std::to_string(tenths > 9 ? 9 : tenths) + name;
}

bool is_rfc3339(std::string_view text) {
    return text.size() >= 20 && text[4] == '-' && text[10] == 'T' && text[13] == ':';
}

} // namespace

std::int32_t next_code_point(std::string_view text, std::size_t &position) {
    const auto octet = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    const unsigned lead = octet(position);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (length == 1) {
        ++position;
        return static_cast<std::int32_t>(lead);
    }
    constexpr std::array<std::int32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    std::int32_t value = static_cast<std::int32_t>(lead & (0xFFU >> (length + 1)));
    bool good = lead >= 0xC2 && lead <= 0xF4 && position + length <= text.size();
    for (std::size_t index = 1; good && index < length; ++index) {
        good = (octet(position + index) & 0xC0U) == 0x80U;
        value = (value << 6) | (octet(position + index) & 0x3F);
    }
    good = good && value >= least[length] && value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
    position += good ? length : 1;
    return good ? value : -1;
}

bool is_unprintable(std::int32_t code_point) {
    if (is_control(code_point))
        return true;
    for (const Span &span : hidden)
        if (code_point >= span.first && code_point <= span.last)
            return true;
    return false;
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t position = 0; position < text.size();) {
        const std::size_t start = position;
        const std::int32_t code_point = next_code_point(text, position);
        if (code_point < 0)
            out += hex("\\x%02x", static_cast<unsigned char>(text[start]));
        else if (is_control(code_point))
            out += hex("\\x%02x", static_cast<unsigned>(code_point));
        else if (is_unprintable(code_point))
            out += hex("\\u{%x}", static_cast<unsigned>(code_point));
        else
            out += text.substr(start, position - start);
    }
    return out;
}

std::size_t text_columns(std::string_view text) {
    std::size_t count = 0;
    for (const char octet : text)
        count += (static_cast<unsigned char>(octet) & 0xC0U) != 0x80U;
    return count;
}

std::string shortened(std::string_view text, std::size_t columns) {
    const std::size_t all = text_columns(text);
    if (all <= columns)
        return std::string(text);
    const std::size_t front = (columns - 1) / 2;
    const std::size_t back = columns - 1 - front;
    std::string out;
    std::size_t index = 0;
    for (std::size_t position = 0; position < text.size(); ++index) {
        const std::size_t start = position;
        next_code_point(text, position);
        if (index == front)
            out += "…";
        if (index < front || index >= all - back)
            out += text.substr(start, position - start);
    }
    return out;
}

std::string human_bytes(std::uint64_t bytes) {
    constexpr std::array names{" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    if (bytes < 1024)
        return std::to_string(bytes) + " B";
    std::size_t power = 0;
    std::uint64_t unit = 1024;
    while (power + 1 < names.size() && bytes / 1024 >= unit) {
        unit *= 1024;
        ++power;
    }
    return scaled(bytes, unit, names[power]);
}

std::string human_count(std::uint64_t count) {
    constexpr std::array names{"k", "M", "G", "T", "P", "E"};
    if (count < 10000)
        return std::to_string(count);
    std::size_t power = 0;
    std::uint64_t unit = 1000;
    while (power + 1 < names.size() && count / 1000 >= unit) {
        unit *= 1000;
        ++power;
    }
    return scaled(count, unit, names[power]);
}

std::string human_duration(std::uint64_t seconds) {
    const auto two = [](std::uint64_t big, const char *big_unit, std::uint64_t small,
                        const char *small_unit) {
        return std::to_string(big) + big_unit + " " + std::to_string(small) + small_unit;
    };
    if (seconds < 60)
        return std::to_string(seconds) + "s";
    if (seconds < 3600)
        return two(seconds / 60, "m", seconds % 60, "s");
    if (seconds < 86400)
        return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
    return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string time_of_day(std::string_view rfc3339) {
    return std::string(is_rfc3339(rfc3339) ? rfc3339.substr(11) : rfc3339);
}

std::string date_and_time(std::string_view rfc3339) {
    if (!is_rfc3339(rfc3339))
        return std::string(rfc3339);
    return std::string(rfc3339.substr(0, 10)) + " " + std::string(rfc3339.substr(11, 8)) + "Z";
}

} // namespace penstock::cli
