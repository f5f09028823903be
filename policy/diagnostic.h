// SPDX-License-Identifier: Apache-2.0
// One fault of a policy text, with its place. All faults are collected; none stops at the first.
#pragma once

#include <string>
#include <vector>

namespace penstock::policy {

struct Diagnostic {
    enum class Severity { error, warning };
    Severity severity = Severity::error;
    std::string file;
    int line = 0;        // 1-based; 0: no place
    int column = 0;      // 1-based
    std::string path;    // "spec.allow[2].ports[0]"
    std::string message; // what is wrong and what was expected

    std::string text() const; // "file:line:column: error: spec.allow[2].ports[0]: message"
};

using Diagnostics = std::vector<Diagnostic>;
bool has_errors(const Diagnostics &);

} // namespace penstock::policy
