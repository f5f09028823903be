// SPDX-License-Identifier: Apache-2.0
// counters, learned: what the gate did, and what it knows.
#include "userspace/cli/commands.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
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
