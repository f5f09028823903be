// SPDX-License-Identifier: Apache-2.0
// One function a command. Each returns the exit code: 0 yes or done, 1 no, denied or invalid, 2 usage or no daemon.
#pragma once

#include "userspace/cli/client.h"
#include "userspace/cli/output.h"

#include <boost/json/fwd.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::cli {

enum ExitCode { exit_ok = 0, exit_no = 1, exit_failed = 2 };

struct Session {
    Client client;
    Output output;
};

struct ExplainOptions {
    std::string container, domain, ip, port;
};
struct SuggestOptions {
    std::string container;
    unsigned fold = 0; // so many names below one parent become a wildcard; 0: none do
};
struct EventOptions {
    bool follow = false, denied = false;
    std::string container;
};
struct PolicyShowOptions {
    std::string name;
    bool source = false; // the text itself
};
struct CheckOptions {
    std::vector<std::string> files;
};
struct QuotaOptions {
    std::string container, rule; // POLICY/RULE; empty: the container's own
    std::string size;            // add: "500MiB"
};
struct TopOptions {
    std::string sort = "egress"; // a field of top_table.h
    std::chrono::milliseconds interval{2000};
    bool reverse = false, once = false;
};
struct UnloadOptions {
    std::string bpffs;     // empty: penstockd's own default
    std::string penstockd; // empty: beside this program, else in the PATH
};

int show_status(const Session &);
int show_features(const Session &);
int show_containers(const Session &);
int show_policies(const Session &);
int show_policy(const Session &, const PolicyShowOptions &);
int check_policies(const Output &, const CheckOptions &); // needs no daemon
int diff_policy(const Session &, const std::string &file);
int apply_policy(const Session &, const std::string &file);
int delete_policy(const Session &, const std::string &name);
int explain(const Session &, const ExplainOptions &);
int suggest(const Session &, const SuggestOptions &);
int show_counters(const Session &, const std::string &container);
int show_events(const Session &, const EventOptions &);
int show_flows(const Session &, const EventOptions &);
int show_learned(const Session &, const std::string &container);
int show_quotas(const Session &, const std::string &container);
int reset_quota(const Session &, const QuotaOptions &);
int add_quota(const Session &, const QuotaOptions &);
int top(const Session &, const TopOptions &);
int reload(const Session &);
int unload(const Output &, const UnloadOptions &);

// What the commands share (request.cpp).

// Sends; a 2xx answer's JSON, or none after the error was printed, its exit code in `exit_code`.
std::optional<boost::json::value> ask(const Session &, const Request &, int &exit_code);
// Prints the error of a refused request with its diagnostics: the exit code.
int refused(const Output &, const Response &);
int fail(const Output &, std::string_view message, ExitCode);
// "file:line:column: error: path: message" a line, on stderr.
void print_diagnostics(const Output &, const boost::json::array &diagnostics);
// A policy's text, raw where it goes to a file, so that it can be edited and applied.
void print_source(const Output &, const std::string &text);
// "/v1/x" and "?name=value&..." of those that are not empty.
std::string target(std::string path, const std::vector<std::pair<std::string, std::string>> &parameters);

} // namespace penstock::cli
