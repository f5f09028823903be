// SPDX-License-Identifier: Apache-2.0
#include "policy/validate.h"

#include "policy/wording.h"

#include <algorithm>

namespace penstock::policy {
namespace {

constexpr std::size_t max_identifier = 63;

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

} // namespace

void check_identifier(std::string_view text, const Where &where) {
    if (text.empty())
        return where.error("an empty name");
    if (text.size() > max_identifier)
        return where.error("the name has " + std::to_string(text.size()) + " octets; at most " +
                           std::to_string(max_identifier) + " are allowed");
    const auto wrong = std::find_if(text.begin(), text.end(), [](char c) {
        return !is_alphanumeric(c) && c != '.' && c != '_' && c != '-';
    });
    if (wrong != text.end())
        return where.error(quoted(text) + " is no name; expected letters, digits, '.', '_' and '-'");
    if (!is_alphanumeric(text[0]))
        where.error(quoted(text) + " is no name; expected a letter or digit first");
}

int choose(std::string_view value, const std::vector<std::string_view> &choices, const Where &where) {
    for (std::size_t i = 0; i < choices.size(); ++i)
        if (choices[i] == value)
            return static_cast<int>(i);
    where.error("unknown value " + quoted(value) + "; expected " + any_of(choices));
    return 0;
}

} // namespace penstock::policy
