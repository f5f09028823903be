// SPDX-License-Identifier: Apache-2.0
// JSON values to text in the formats of -o, and tolerant reads of their fields. What is printed is safe for a
// terminal: every unprintable character is escaped, in a way that a reader of JSON or YAML undoes.
#pragma once

#include "userspace/cli/table.h"

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

namespace penstock::cli {

enum class Format { table, json, yaml };

// Where a command writes, and how.
struct Output {
    std::ostream &out;
    std::ostream &err;
    Format format = Format::table;
    Terminal terminal{};
};

enum class JsonStyle { pretty, line };
void print_json(std::ostream &, const boost::json::value &, JsonStyle);
void print_yaml(std::ostream &, const boost::json::value &);
// In the format asked for, which is not table.
void print_value(const Output &, const boost::json::value &);

// Reads of an answer. Missing or of another type: "", 0, false, empty; a newer or older daemon is no error here.
std::string text_at(const boost::json::value &, std::string_view field);
std::uint64_t number_at(const boost::json::value &, std::string_view field);
bool flag_at(const boost::json::value &, std::string_view field);
const boost::json::array &list_at(const boost::json::value &, std::string_view field);
const boost::json::value &value_at(const boost::json::value &, std::string_view field); // missing: null
std::string rule_of(const boost::json::value &); // "policy/rule" of its fields, or the one there is
std::string joined_at(const boost::json::value &, std::string_view field, std::string_view separator);

} // namespace penstock::cli
