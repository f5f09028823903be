// SPDX-License-Identifier: Apache-2.0
// Text to policies, the one front door: parse (text to the protobuf schema, strictly) and validate
// (schema to model). Pure: the caller reads files.
#pragma once

#include "policy/diagnostic.h"
#include "policy/model.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::policy {

enum class Format { yaml, json, protobuf }; // protobuf: binary penstock.v1.EgressPolicyList

struct Source {
    std::string file; // for diagnostics
    std::string text;
    Format format = Format::yaml;
};

struct Loaded {
    std::vector<Policy>
        policies; // only documents without errors; use none of them if has_errors(diagnostics)
    std::vector<std::size_t> source_of; // of each policy: the index of its source
    Diagnostics diagnostics;            // all faults of all sources, in order of place
};

// Loads every document of every source. Policy names must be unique over all sources.
Loaded load(const std::vector<Source> &);

// Format by file name: .yaml .yml .json .pb
Format format_of(std::string_view file_name);

} // namespace penstock::policy
