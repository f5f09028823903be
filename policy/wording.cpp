// SPDX-License-Identifier: Apache-2.0
#include "policy/wording.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace penstock::policy {

std::string quoted(std::string_view text) {
    constexpr std::size_t shown = 80;
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto octet = static_cast<unsigned char>(text[i]);
        if (i >= shown && ((octet & 0xc0) != 0x80 || i >= shown + 3)) { // not inside a UTF-8 sequence
            out += "...";
            break;
        }
        if (octet < 0x20 || octet == 0x7f) {
            char hex[8];
            std::snprintf(hex, sizeof hex, "\\x%02x", octet);
            out += hex;
        } else {
            out += text[i];
        }
    }
    return out + "\"";
}

namespace {

char fold(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Edit distance with the swap of neighbours as one edit, letter case ignored.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = fold(a[i - 1]) == fold(b[j - 1]);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(row);
    }
    return last[b.size()];
}

} // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string_view> &known,
                         std::string_view *found) {
    std::string_view best;
    std::size_t best_distance = 3;
    for (const auto candidate : known) {
        if (word.size() > candidate.size() + 2) // also bounds the work for a hostile word
            continue;
        const auto d = distance(word, candidate);
        if (d < best_distance && d * 2 < candidate.size()) {
            best = candidate;
            best_distance = d;
        }
    }
    if (found)
        *found = best;
    return best.empty() ? "" : "; did you mean " + quoted(best) + "?";
}

std::string any_of(const std::vector<std::string_view> &words) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i)
            out += i + 1 == words.size() ? " or " : ", ";
        out += words[i];
    }
    return out;
}

} // namespace penstock::policy
