// SPDX-License-Identifier: Apache-2.0
// explain: what the gate would answer, and the path of gates that leads there.
#include "userspace/cli/commands.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

void print_judgement(const Output &output, const std::string &subject, const json::value &judgement) {
    const std::string verdict = text_at(judgement, "verdict"), rule = text_at(judgement, "rule"),
                      match = text_at(judgement, "match");
    output.out << "\n"
               << printable(subject) << ": "
               << toned(output.terminal, verdict_tone(verdict), printable(verdict)) << " ("
               << printable(text_at(judgement, "reason")) << ")";
    if (!rule.empty())
        output.out << ", rule " << printable(text_at(judgement, "policy") + "/" + rule);
    if (!rule.empty() && !match.empty()) // without a rule nothing matched: it is the name itself
        output.out << ", by " << printable(match);
    output.out << "\n";
    int step = 0;
    for (const json::value &sentence : list_at(judgement, "path"))
        if (const auto *text = sentence.if_string())
            output.out << "  " << ++step << ". " << printable(*text) << "\n";
}

void print_explanation(const Output &output, const json::value &answer) {
    const std::string verdict = text_at(answer, "verdict"), policies = joined_at(answer, "policies", "+");
    const std::string note = verdict == "would-deny" ? "  (audit mode: it passes)" : "";
    Facts facts;
    facts.add("verdict", verdict + note, verdict_tone(verdict));
    facts.add("container", text_at(answer, "container"));
    facts.add("policy", (policies.empty() ? "-" : policies) + ", mode " + text_at(answer, "mode"));
    facts.print(output.out, output.terminal);
    if (value_at(answer, "query").is_object())
        print_judgement(output, "query for " + text_at(answer, "domain"), value_at(answer, "query"));
    for (const json::value &flow : list_at(answer, "flows")) {
        const bool guess = !text_at(answer, "domain").empty() && !flag_at(flow, "learned");
        const std::string remote =
            guess ? "an address of that name, none learned yet" : text_at(flow, "remote");
        print_judgement(output, text_at(answer, "port") + " to " + remote, flow);
    }
}

} // namespace

int explain(const Session &session, const ExplainOptions &options) {
    const Request request{.target = target("/v1/explain", {{"container", options.container},
                                                           {"domain", options.domain},
                                                           {"ip", options.ip},
                                                           {"port", options.port}})};
    int code = exit_ok;
    const auto answer = ask(session, request, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table)
        print_value(session.output, *answer);
    else
        print_explanation(session.output, *answer);
    // Only what passes for certain is a yes: a verdict this client does not know is none.
    const std::string verdict = text_at(*answer, "verdict");
    return verdict == "allow" || verdict == "would-deny" ? exit_ok : exit_no;
}

} // namespace penstock::cli
