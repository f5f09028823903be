// SPDX-License-Identifier: Apache-2.0
#include "policy/diagnostic.h"

#include <algorithm>

namespace penstock::policy {

std::string Diagnostic::text() const {
    std::string out = file;
    if (line > 0)
        out += ":" + std::to_string(line) + ":" + std::to_string(column);
    out += out.empty() ? "" : ": "; // some are of no file: the kernel had no room
    out += severity == Severity::error ? "error: " : "warning: ";
    if (!path.empty())
        out += path + ": ";
    return out + message;
}

bool has_errors(const Diagnostics &diagnostics) {
    return std::any_of(diagnostics.begin(), diagnostics.end(),
                       [](const Diagnostic &d) { return d.severity == Diagnostic::Severity::error; });
}

} // namespace penstock::policy
