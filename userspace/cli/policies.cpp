// SPDX-License-Identifier: Apache-2.0
// policy show, diff, apply, delete: the policies in force, through the daemon.
#include "userspace/cli/commands.h"

#include "userspace/cli/policy_file.h"
#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

// "a, b, c (+97 more)": a rule may have a hundred thousand.
std::string first_few(const json::value &value, std::string_view field) {
    constexpr std::size_t most = 3;
    std::string out;
    const json::array &list = list_at(value, field);
    for (std::size_t index = 0; index < list.size() && index < most; ++index)
        if (const auto *text = list[index].if_string())
            out += (out.empty() ? "" : ", ") + std::string(*text);
    return list.size() > most ? out + " (+" + std::to_string(list.size() - most) + " more)" : out;
}

void print_policy(const Output &output, const json::value &policy) {
    Facts facts;
    facts.add("policy", text_at(policy, "name"));
    facts.add("mode", text_at(policy, "mode"),
              text_at(policy, "mode") == "enforce" ? Tone::plain : Tone::warn);
    facts.add("source", text_at(policy, "source") + (flag_at(policy, "applied") ? " (applied)" : ""));
    facts.add("selects", joined_at(policy, "containers", " "));
    facts.print(output.out, output.terminal);
    Table table({{"RULE"},
                 {"ACTION"},
                 {"DOMAINS", Table::Align::left, true},
                 {"CIDRS", Table::Align::left, true},
                 {"PORTS", Table::Align::left, true}});
    for (const json::value &rule : list_at(policy, "rules")) {
        const std::string action = text_at(rule, "action"), ports = first_few(rule, "ports");
        table.row({{text_at(rule, "name")},
                   {action, verdict_tone(action)},
                   {first_few(rule, "domains")},
                   {first_few(rule, "cidrs")},
                   {ports.empty() ? "tcp, udp" : ports}});
    }
    output.out << "\n";
    table.print(output.out, output.terminal);
}

void print_diff(const Output &output, const json::value &answer) {
    for (const json::value &policy : list_at(answer, "policies")) {
        const std::size_t count = list_at(policy, "containers").size();
        output.out << printable(text_at(policy, "name") + ": " + text_at(policy, "change")) << " (" << count
                   << (count == 1 ? " container)\n" : " containers)\n");
        for (const json::value &change : list_at(policy, "changes")) {
            const bool add = text_at(change, "op") == "add";
            output.out << toned(output.terminal, add ? Tone::good : Tone::bad,
                                std::string(add ? "  + " : "  - ") + printable(text_at(change, "path")) +
                                    "  " + printable(text_at(change, "value")))
                       << "\n";
        }
    }
}

std::string traffic_of(const json::value &lost) {
    const std::string domain = text_at(lost, "domain");
    return domain.empty() ? "without a name" : domain;
}

// Traffic that passed until now.
void print_lost(const Output &output, const json::value &answer) {
    for (const json::value &lost : list_at(answer, "would_deny"))
        output.out << toned(output.terminal, Tone::bad,
                            "would deny " + printable(text_at(lost, "container") + " " + traffic_of(lost)) +
                                " (" + printable(text_at(lost, "reason")) + ")")
                   << ": " << human_count(number_at(lost, "packets")) << " packets passed so far by rule "
                   << printable(text_at(lost, "policy") + "/" + text_at(lost, "rule")) << "\n";
}

// Sends the text of `file`; none after an error was printed.
std::optional<json::value> post_file(const Session &session, const std::string &path, const std::string &file,
                                     int &code) {
    const Result<policy::Source> source = read_policy_file(file);
    if (!source) {
        code = fail(session.output, source.error().message, exit_no);
        return std::nullopt;
    }
    return ask(session, {"POST", target(path, {{"file", file}}), source->text, content_type(source->format)},
               code);
}

int print_done(const Session &session, const json::value &answer, std::string_view done) {
    print_diagnostics(session.output, list_at(answer, "diagnostics"));
    if (session.output.format != Format::table)
        print_value(session.output, answer);
    else
        session.output.out << printable(joined_at(answer, "policies", ", ")) << ": " << done
                           << ", generation " << number_at(answer, "generation") << "\n";
    return exit_ok;
}

} // namespace

void print_source(const Output &output, const std::string &text) {
    if (output.terminal.columns == 0) {
        output.out << text;
        return;
    }
    for (std::size_t start = 0, end = 0; start < text.size(); start = end + 1) {
        end = std::min(text.find('\n', start), text.size());
        output.out << printable(std::string_view(text).substr(start, end - start)) << "\n";
    }
}

int show_policies(const Session &session) {
    int code = exit_ok;
    const auto answer = ask(session, {.target = "/v1/policies"}, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table) {
        print_value(session.output, *answer);
        return exit_ok;
    }
    using enum Table::Align;
    Table table({{"POLICY", left, true},
                 {"MODE"},
                 {"ALLOW", right},
                 {"DENY", right},
                 {"DOMAINS", right},
                 {"CIDRS", right},
                 {"CONTAINERS", right},
                 {"SOURCE", left, true}});
    for (const json::value &policy : list_at(*answer, "policies")) {
        const std::string mode = text_at(policy, "mode");
        table.row({{text_at(policy, "name")},
                   {mode, mode == "enforce" ? Tone::plain : Tone::warn},
                   {human_count(number_at(policy, "allow"))},
                   {human_count(number_at(policy, "deny"))},
                   {human_count(number_at(policy, "domains"))},
                   {human_count(number_at(policy, "cidrs"))},
                   {human_count(list_at(policy, "containers").size())},
                   {text_at(policy, "source")}});
    }
    table.print(session.output.out, session.output.terminal);
    return exit_ok;
}

int show_policy(const Session &session, const PolicyShowOptions &options) {
    int code = exit_ok;
    const auto answer = ask(session, {.target = "/v1/policies/" + percent_encoded(options.name)}, code);
    if (!answer)
        return code;
    if (options.source)
        print_source(session.output, text_at(*answer, "text"));
    else if (session.output.format != Format::table)
        print_value(session.output, *answer);
    else
        print_policy(session.output, *answer);
    return exit_ok;
}

int diff_policy(const Session &session, const std::string &file) {
    int code = exit_ok;
    const auto answer = post_file(session, "/v1/policies/diff", file, code);
    if (!answer)
        return code;
    print_diagnostics(session.output, list_at(*answer, "diagnostics"));
    if (session.output.format != Format::table)
        print_value(session.output, *answer);
    else {
        print_diff(session.output, *answer);
        print_lost(session.output, *answer);
    }
    return exit_ok;
}

int apply_policy(const Session &session, const std::string &file) {
    int code = exit_ok;
    const auto answer = post_file(session, "/v1/policies", file, code);
    return answer ? print_done(session, *answer, "in force") : code;
}

int delete_policy(const Session &session, const std::string &name) {
    int code = exit_ok;
    const auto answer =
        ask(session, {.method = "DELETE", .target = "/v1/policies/" + percent_encoded(name)}, code);
    return answer ? print_done(session, *answer, "removed") : code;
}

} // namespace penstock::cli
