// SPDX-License-Identifier: Apache-2.0
// What the front end's tests share: policies from a line of spec, diagnostics as short text.
#pragma once

#include "policy/load.h"

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace penstock::policy::test {

inline Loaded load_text(std::string text, Format format = Format::yaml) {
    return load({Source{"p", std::move(text), format}});
}

// A document around `spec`, whose lines begin at line 5 with two spaces. With a select unless it has one.
inline std::string document(const std::string &spec) {
    const bool selects = spec.find("select:") != std::string::npos;
    return std::string("apiVersion: penstock/v1\nkind: EgressPolicy\nmetadata: {name: p}\nspec:\n") + spec +
           (selects ? "" : "\n  select: [{cgroup: /x}]") + "\n";
}

// "line:column path: message", one line each.
inline std::string faults(const Loaded &loaded) {
    std::string out;
    for (const auto &d : loaded.diagnostics)
        out +=
            std::to_string(d.line) + ":" + std::to_string(d.column) + " " + d.path + ": " + d.message + "\n";
    return out;
}
inline std::string faults_of(const std::string &spec) {
    return faults(load_text(document(spec)));
}

// The policy of a right spec; fails the test through an exception if it is wrong.
inline Policy policy_of(const std::string &spec) {
    auto loaded = load_text(document(spec));
    if (has_errors(loaded.diagnostics) || loaded.policies.size() != 1)
        throw std::runtime_error("not loaded: " + faults(loaded));
    return loaded.policies[0];
}

inline std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace penstock::policy::test
