// SPDX-License-Identifier: Apache-2.0
// events, flows: what happened, line by line, as it happens if asked to.
#include "userspace/cli/commands.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

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
    if (text_at(event, "kind") == "pressure")
        return "map " + text_at(event, "name") + " is " + std::to_string(number_at(event, "length")) +
               " % full";
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

bool print_line(const Output &output, std::string_view line,
                void (*print_for_people)(const Output &, const json::value &)) {
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
        print_for_people(output, event);
    output.out.flush();
    return output.out.good();
}

// "tcp 10.0.0.5:41234 > 192.0.2.7:443 name", or "<" where the other side opened it.
std::string flow_subject(const json::value &flow) {
    const std::string name = text_at(flow, "name");
    return text_at(flow, "protocol") + " " + endpoint(text_at(flow, "local"), number_at(flow, "local_port")) +
           (text_at(flow, "direction") == "ingress" ? " < " : " > ") +
           endpoint(text_at(flow, "remote"), number_at(flow, "remote_port")) +
           (name.empty() ? "" : " " + name);
}

void print_flow_line(const Output &output, const json::value &flow) {
    if (text_at(flow, "kind") == "lost") {
        output.out << subject(flow) << "\n";
        return;
    }
    const auto carried = [&](const std::string &way) {
        return human_bytes(number_at(flow, way + "_bytes")) + "/" +
               human_count(number_at(flow, way + "_packets"));
    };
    const std::string rule = rule_of(flow), verdict = text_at(flow, "verdict");
    output.out << printable(time_of_day(text_at(flow, "time"))) << "  " << printable(text_at(flow, "end"))
               << "  " << printable(text_at(flow, "container")) << "  " << printable(flow_subject(flow))
               << "  out " << carried("egress") << "  in " << carried("ingress");
    if (verdict != "allow")
        output.out << "  " << toned(output.terminal, verdict_tone(verdict), printable(verdict));
    if (!rule.empty())
        output.out << "  (" << printable(rule) << ")";
    output.out << "\n";
}

int show_stream(const Session &session, const Request &request,
                void (*print_for_people)(const Output &, const json::value &)) {
    const auto response = session.client.stream(
        request, [&](std::string_view line) { return print_line(session.output, line, print_for_people); });
    if (!response)
        return fail(session.output, response.error().message, exit_failed);
    return response->status == 200 ? exit_ok : refused(session.output, *response);
}

} // namespace

int show_events(const Session &session, const EventOptions &options) {
    const Request request{.target = target("/v1/events", {{"follow", options.follow ? "1" : ""},
                                                          {"denied", options.denied ? "1" : ""},
                                                          {"container", options.container}})};
    return show_stream(session, request, print_event_line);
}

int show_flows(const Session &session, const EventOptions &options) {
    const Request request{.target = target("/v1/flows", {{"follow", options.follow ? "1" : ""},
                                                         {"container", options.container}})};
    return show_stream(session, request, print_flow_line);
}

} // namespace penstock::cli
