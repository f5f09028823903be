// SPDX-License-Identifier: Apache-2.0
// counters, events, learned: what the gate did.
#include "userspace/cli/commands.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

std::string rule_of(const json::value &value) {
    const std::string policy = text_at(value, "policy"), rule = text_at(value, "rule");
    return rule.empty() || policy.empty() ? policy + rule : policy + "/" + rule;
}

std::string endpoint(const std::string &address, std::uint64_t port) {
    if (address.empty() || port == 0)
        return address;
    const bool six = address.find(':') != std::string::npos;
    return (six ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

// What the event is about, for people: "udp 10.0.0.2:53 A evil.example".
std::string subject(const json::value &event) {
    if (text_at(event, "kind") == "lost")
        return std::to_string(number_at(event, "length")) + " events are missing here";
    if (text_at(event, "kind") == "quota")
        return std::to_string(number_at(event, "length")) + " % of the quota are spent";
    std::string out;
    for (const std::string &part :
         {text_at(event, "protocol"), endpoint(text_at(event, "remote"), number_at(event, "remote_port")),
          text_at(event, "query_type"), text_at(event, "name")})
        if (!part.empty())
            out += (out.empty() ? "" : " ") + part;
    return out;
}

void print_event_line(const Output &output, const json::value &event) {
    const std::string kind = text_at(event, "kind"), verdict = text_at(event, "verdict"),
                      reason = text_at(event, "reason");
    const std::string what = kind == "denied" ? verdict : kind;
    const std::string container = text_at(event, "container");
    const auto field = [&](const std::string &text) {
        output.out << "  " << printable(text.empty() ? "-" : text);
    };
    output.out << printable(time_of_day(text_at(event, "time"))) << "  "
               << toned(output.terminal, kind == "denied" ? verdict_tone(verdict) : Tone::dim,
                        printable(what));
    field(kind == "denied" ? reason : "");
    field(container);
    if (const auto comm = text_at(event, "comm"); !comm.empty())
        field(comm + "[" + std::to_string(number_at(event, "pid")) + "]");
    field(subject(event));
    const std::string rule = rule_of(event);
    if (!rule.empty())
        output.out << "  (" << printable(rule) << ")";
    output.out << "\n";
}

bool print_event(const Output &output, std::string_view line) {
    json::parse_options options;
    options.allow_invalid_utf8 = true;
    json::error_code error;
    const json::value event = json::parse({line.data(), line.size()}, error, {}, options);
    if (error)
        output.err << "penstock: not an event: " << printable(line) << "\n";
    else if (output.format == Format::json)
        print_json(output.out, event, JsonStyle::line);
    else if (output.format == Format::yaml)
        print_yaml(output.out << "---\n", event);
    else
        print_event_line(output, event);
    output.out.flush();
    return output.out.good();
}

} // namespace

int show_counters(const Session &session, const std::string &container) {
    int code = exit_ok;
    const auto answer = ask(session, {.target = target("/v1/counters", {{"container", container}})}, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table) {
        print_value(session.output, *answer);
        return exit_ok;
    }
    Table table({{"CONTAINER", Table::Align::left, true},
                 {"RULE", Table::Align::left, true},
                 {"DOMAIN", Table::Align::left, true},
                 {"DIR"},
                 {"VERDICT"},
                 {"REASON"},
                 {"PACKETS", Table::Align::right},
                 {"BYTES", Table::Align::right}});
    for (const json::value &counter : list_at(*answer, "counters")) {
        const std::string verdict = text_at(counter, "verdict"), name = text_at(counter, "container");
        table.row({{name.empty() ? "(ended)" : name},
                   {rule_of(counter)},
                   {text_at(counter, "domain")},
                   {text_at(counter, "direction") == "ingress" ? "in" : "out"},
                   {verdict, verdict_tone(verdict)},
                   {text_at(counter, "reason")},
                   {human_count(number_at(counter, "packets"))},
                   {human_bytes(number_at(counter, "bytes"))}});
    }
    table.print(session.output.out, session.output.terminal);
    return exit_ok;
}

int show_events(const Session &session, const EventOptions &options) {
    const Request request{.target = target("/v1/events", {{"follow", options.follow ? "1" : ""},
                                                          {"denied", options.denied ? "1" : ""},
                                                          {"container", options.container}})};
    const auto response = session.client.stream(
        request, [&](std::string_view line) { return print_event(session.output, line); });
    if (!response)
        return fail(session.output, response.error().message, exit_failed);
    return response->status == 200 ? exit_ok : refused(session.output, *response);
}

int show_learned(const Session &session, const std::string &container) {
    int code = exit_ok;
    const auto answer = ask(session, {.target = target("/v1/learned", {{"container", container}})}, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table) {
        print_value(session.output, *answer);
        return exit_ok;
    }
    Table table({{"CONTAINER", Table::Align::left, true},
                 {"ADDRESS"},
                 {"NAME", Table::Align::left, true},
                 {"EXPIRES"}});
    for (const json::value &entry : list_at(*answer, "learned"))
        for (const json::value &name : list_at(entry, "names"))
            table.row({{text_at(entry, "container")},
                       {text_at(entry, "address") + (flag_at(entry, "private") ? " (private)" : "")},
                       {text_at(name, "name")},
                       {flag_at(name, "expired") ? "expired" : date_and_time(text_at(name, "expires")),
                        flag_at(name, "expired") ? Tone::dim : Tone::plain}});
    table.print(session.output.out, session.output.terminal);
    return exit_ok;
}

} // namespace penstock::cli
