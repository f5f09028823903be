// SPDX-License-Identifier: Apache-2.0
// What the words of a command line choose, and what several commands' flags have in common. For app*.cpp only.
#pragma once

#include "userspace/cli/commands.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

namespace penstock::cli {

// What the words say; `command` is the last subcommand named.
struct Choice {
    std::string api_socket = "/run/penstock/api.sock";
    Format format = Format::table;
    std::string container, file;
    PolicyShowOptions show;
    CheckOptions check;
    ExplainOptions explain;
    EventOptions events;
    QuotaOptions quota;
    SuggestOptions suggest;
    TopOptions top;
    UnloadOptions unload;
    std::function<int(const Session &)> command;
};

// A subcommand with its examples.
CLI::App *add(CLI::App &parent, const char *name, const char *help, const char *examples);
// An unset variable of a script must not turn "of this one" into "of all".
CLI::Validator not_empty();
void add_format(CLI::App *command, Choice &);
void add_socket(CLI::App *command, Choice &);
void add_container(CLI::App *command, std::string &container, bool required);
// A subcommand that asks the daemon.
CLI::App *add_talking(CLI::App &parent, Choice &choice, const char *name, const char *help,
                      const char *examples, std::function<int(const Session &)> command);

void add_showing(CLI::App &, Choice &); // status features ps counters learned events flows
void add_top(CLI::App &, Choice &);
void add_explain(CLI::App &, Choice &);
void add_suggest(CLI::App &, Choice &);
void add_quota(CLI::App &, Choice &);

} // namespace penstock::cli
