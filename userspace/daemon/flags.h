// SPDX-License-Identifier: Apache-2.0
// The command line of penstockd. A flag replaces what the file says of the same setting.
#pragma once

#include "userspace/daemon/config.h"

#include <optional>
#include <string>

namespace penstock::daemon {

struct CommandLine {
    enum class Action { run, check_config, detach_all };
    Action action = Action::run;
    Config config;
};

// The command line, or the exit code to leave with at once: 0 after --help and --version, 2 for a
// bad flag or a configuration with faults, which are printed, one a line.
struct CommandLineResult {
    std::optional<CommandLine> command_line;
    int exit_code = 0;
};
CommandLineResult read_command_line(int argc, const char *const *argv);

} // namespace penstock::daemon
