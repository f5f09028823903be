// SPDX-License-Identifier: Apache-2.0
// What every command does with the daemon: ask, parse the answer, print a refusal.
#include "userspace/cli/commands.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

std::optional<json::value> parsed(const std::string &text) {
    json::parse_options options;
    options.allow_invalid_utf8 = true; // printing replaces it
    json::error_code error;
    json::value value = json::parse(text, error, {}, options);
    if (error)
        return std::nullopt;
    return value;
}

// 400: we were asked for something that can't be read. 503: the daemon can't answer now.
ExitCode exit_code_of(unsigned status) {
    return status == 400 || status == 503 ? exit_failed : exit_no;
}

std::string place(const json::value &diagnostic) {
    const std::string file = text_at(diagnostic, "file");
    const std::uint64_t line = number_at(diagnostic, "line");
    if (line == 0)
        return file.empty() ? "" : file + ": ";
    return file + ":" + std::to_string(line) + ":" + std::to_string(number_at(diagnostic, "column")) + ": ";
}

} // namespace

int fail(const Output &output, std::string_view message, ExitCode code) {
    output.err << "penstock: " << printable(message) << "\n";
    return code;
}

void print_diagnostics(const Output &output, const json::array &diagnostics) {
    for (const json::value &diagnostic : diagnostics) {
        const std::string path = text_at(diagnostic, "path");
        output.err << printable(place(diagnostic) + text_at(diagnostic, "severity") + ": " +
                                (path.empty() ? "" : path + ": ") + text_at(diagnostic, "message"))
                   << "\n";
    }
}

int refused(const Output &output, const Response &response) {
    const json::value body = parsed(response.body).value_or(nullptr);
    print_diagnostics(output, list_at(body, "diagnostics"));
    const std::string message = text_at(body, "error");
    return fail(output,
                message.empty() ? "the daemon answered with HTTP status " + std::to_string(response.status)
                                : message,
                exit_code_of(response.status));
}

std::optional<json::value> ask(const Session &session, const Request &request, int &exit_code) {
    const Result<Response> response = session.client.send(request);
    if (!response) {
        exit_code = fail(session.output, response.error().message, exit_failed);
        return std::nullopt;
    }
    if (response->status / 100 != 2) {
        exit_code = refused(session.output, *response);
        return std::nullopt;
    }
    std::optional<json::value> body = parsed(response->body);
    if (!body || !body->is_object()) {
        exit_code = fail(session.output, "the daemon's answer to " + request.target + " is not a JSON object",
                         exit_failed);
        return std::nullopt;
    }
    exit_code = exit_ok;
    return body;
}

std::string target(std::string path, const std::vector<std::pair<std::string, std::string>> &parameters) {
    char separator = '?';
    for (const auto &[name, value] : parameters) {
        if (value.empty())
            continue;
        ((path += separator) += name) += '=';
        path += percent_encoded(value);
        separator = '&';
    }
    return path;
}

} // namespace penstock::cli
