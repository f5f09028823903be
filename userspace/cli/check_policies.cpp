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

// Paths as in diagnostics: "spec.limits.egress".
std::vector<std::string> unenforced(const policy::Policy &policy) {
    std::vector<std::string> fields = policy.unenforced();
    for (std::string &field : fields)
        field.insert(0, "spec.");
    return fields;
}

// The answer of POST /v1/policies/check, made here.
json::object report(const policy::Loaded &loaded, bool passed) {
    json::array names, diagnostics;
    json::object skipped;
    for (const policy::Policy &policy : loaded.policies) {
        names.emplace_back(policy.name);
        const std::vector<std::string> fields = unenforced(policy);
        if (!fields.empty())
            skipped[policy.name] = json::array(fields.begin(), fields.end());
    }
    for (const policy::Diagnostic &diagnostic : loaded.diagnostics) {
        const bool error = diagnostic.severity == policy::Diagnostic::Severity::error;
        diagnostics.push_back({{"severity", error ? "error" : "warning"},
                               {"file", diagnostic.file},
                               {"line", diagnostic.line},
                               {"column", diagnostic.column},
                               {"path", diagnostic.path},
                               {"message", diagnostic.message}});
    }
    return {{"ok", passed}, {"policies", names}, {"unenforced", skipped}, {"diagnostics", diagnostics}};
}

// Every field that is checked and not enforced, loudly: true if there is any.
bool warn_unenforced(const Output &output, const policy::Loaded &loaded, bool strict) {
    bool any = false;
    for (const policy::Policy &policy : loaded.policies) {
        for (const std::string &field : unenforced(policy)) {
            output.err << (strict ? "error" : "warning") << ": policy " << printable(policy.name) << ": "
                       << printable(field) << ": valid, but this version does not enforce it\n";
            any = true;
        }
    }
    return any;
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
    else if (errors > 0)
        output.out << errors << (errors == 1 ? " error\n" : " errors\n");
    else
        output.out << "refused (--strict)\n";
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
    const bool skips = warn_unenforced(output, loaded, options.strict);
    const bool passed =
        unreadable == 0 && !policy::has_errors(loaded.diagnostics) && !(options.strict && skips);
    if (output.format == Format::table)
        print_summary(output, loaded, passed, unreadable);
    else
        print_value(output, report(loaded, passed));
    return passed ? exit_ok : exit_no;
}

} // namespace penstock::cli
