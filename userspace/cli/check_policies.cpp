// SPDX-License-Identifier: Apache-2.0
// policy check: judges texts with the same library as the daemon, and needs none running.
#include "userspace/cli/commands.h"

#include "userspace/cli/policy_file.h"
#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

// The answer of POST /v1/policies/check, made here.
json::object report(const policy::Loaded &loaded, bool passed) {
    json::array names, diagnostics;
    for (const policy::Policy &policy : loaded.policies)
        names.emplace_back(policy.name);
    for (const policy::Diagnostic &diagnostic : loaded.diagnostics) {
        const bool error = diagnostic.severity == policy::Diagnostic::Severity::error;
        diagnostics.push_back({{"severity", error ? "error" : "warning"},
                               {"file", diagnostic.file},
                               {"line", diagnostic.line},
                               {"column", diagnostic.column},
                               {"path", diagnostic.path},
                               {"message", diagnostic.message}});
    }
    return {{"ok", passed}, {"policies", names}, {"diagnostics", diagnostics}};
}

void print_summary(const Output &output, const policy::Loaded &loaded, bool passed, std::size_t unreadable) {
    for (const policy::Policy &policy : loaded.policies)
        output.out << printable(policy.name) << ": " << policy.allow.size() << " allow, "
                   << policy.deny.size() << " deny\n";
    std::size_t errors = 0;
    for (const policy::Diagnostic &diagnostic : loaded.diagnostics)
        errors += diagnostic.severity == policy::Diagnostic::Severity::error;
    if (passed)
        output.out << "ok\n";
    else if (unreadable > 0)
        output.out << unreadable << (unreadable == 1 ? " file" : " files") << " not read\n";
    else
        output.out << errors << (errors == 1 ? " error\n" : " errors\n");
}

} // namespace

int check_policies(const Output &output, const CheckOptions &options) {
    std::vector<policy::Source> sources;
    std::size_t unreadable = 0;
    for (const std::string &argument : options.files) {
        const Result<std::vector<std::string>> files = policy_files(argument);
        if (!files) {
            fail(output, files.error().message, exit_no);
            ++unreadable;
            continue;
        }
        for (const std::string &file : *files) {
            Result<policy::Source> source = read_policy_file(file);
            if (source) {
                sources.push_back(std::move(*source));
                continue;
            }
            fail(output, source.error().message, exit_no);
            ++unreadable;
        }
    }
    const policy::Loaded loaded = policy::load(sources);
    for (const policy::Diagnostic &diagnostic : loaded.diagnostics)
        output.err << printable(diagnostic.text()) << "\n";
    const bool passed = unreadable == 0 && !policy::has_errors(loaded.diagnostics);
    if (output.format == Format::table)
        print_summary(output, loaded, passed, unreadable);
    else
        print_value(output, report(loaded, passed));
    return passed ? exit_ok : exit_no;
}

} // namespace penstock::cli
