// SPDX-License-Identifier: Apache-2.0
// A text as a tree of values with their places, before any schema. Two readers make it: YAML and JSON.
// Private to the front end.
#pragma once

#include "policy/report.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::policy {

constexpr std::size_t max_source_octets = std::size_t{64} << 20;
constexpr std::size_t max_source_values = 2'000'000; // bounds the memory of the tree
constexpr int max_nesting = 32;

struct Node {
    enum class Kind : std::uint8_t { empty, text, number, boolean, list, map, faulty };
    Kind kind = Kind::empty;
    Place place;
    std::string text;           // of text, number and boolean
    std::vector<Node> children; // list: items; map: key, value, key, value...

    const char *describe() const; // "a list", "a number"...
};

struct Document {
    Node root;
    bool faulty = false; // something in it was reported and is not in the tree as it was written
};

// The documents of a text in order, without empty ones. Faults go to the report; a document with a syntax
// fault is left out, the ones after it are still read.
std::vector<Document> read_yaml(std::string_view text, Report &);
std::vector<Document> read_json(std::string_view text, Report &);

// Place of an octet of a text.
Place place_of(std::string_view text, std::size_t offset);

} // namespace penstock::policy
