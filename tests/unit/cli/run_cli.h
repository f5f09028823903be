// SPDX-License-Identifier: Apache-2.0
// Runs the command line inside the test process.
#pragma once

#include "userspace/cli/app.h"

#include <sstream>
#include <string>
#include <vector>

namespace penstock::test {

struct Run {
    int code;
    std::string out, err;
};

inline Run run_cli(std::vector<std::string> arguments, const cli::Terminal &terminal = {}) {
    std::ostringstream out, err;
    const int code = cli::run(std::move(arguments), out, err, terminal);
    return {code, out.str(), err.str()};
}

inline bool contains(const std::string &text, const std::string &part) {
    return text.find(part) != std::string::npos;
}

} // namespace penstock::test
