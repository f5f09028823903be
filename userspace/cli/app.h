// SPDX-License-Identifier: Apache-2.0
// The command line as a whole: words to a command, a command to an exit code.
#pragma once

#include "userspace/cli/table.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace penstock::cli {

// `arguments` without the program's name.
int run(std::vector<std::string> arguments, std::ostream &out, std::ostream &err, const Terminal &);

} // namespace penstock::cli
