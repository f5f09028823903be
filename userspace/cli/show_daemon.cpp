// SPDX-License-Identifier: Apache-2.0
// status, features, ps: the daemon, the kernel under it, the containers it knows.
#include "userspace/cli/commands.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <algorithm>
#include <ostream>
#include <sstream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

std::string losses(const json::value &status, Tone &tone) {
    std::string text;
    const auto *kernel = value_at(status, "kernel").if_object();
    if (kernel == nullptr)
        return text;
    for (const auto &member : *kernel) {
        const std::uint64_t lost = number_at(*kernel, member.key());
        if (lost == 0)
            continue;
        text += (text.empty() ? "" : ", ") + std::string(member.key()) + " " + human_count(lost);
        tone = Tone::warn;
    }
    return text.empty() ? "none" : text;
}

void add_reload(Facts &facts, const json::value &reload) {
    if (reload.is_null())
        return facts.add("last reload", "never");
    const bool done = flag_at(reload, "ok");
    facts.add("last reload",
              date_and_time(text_at(reload, "time")) +
                  (done ? "  ok" : "  REFUSED, the policies before it are in force"),
              done ? Tone::good : Tone::bad);
}

void print_maps(const Session &session, const json::array &maps) {
    Table table({{"MAP"},
                 {"USED", Table::Align::right},
                 {"CAPACITY", Table::Align::right},
                 {"FULL", Table::Align::right}});
    for (const json::value &map : maps) {
        const std::uint64_t used = number_at(map, "used"), capacity = number_at(map, "capacity");
        const std::uint64_t percent = capacity == 0 ? 0 : used / (capacity / 100 + 1);
        table.row({{text_at(map, "map")},
                   {human_count(used)},
                   {human_count(capacity)},
                   {std::to_string(percent) + "%", percent >= 90   ? Tone::bad
                                                   : percent >= 70 ? Tone::warn
                                                                   : Tone::plain}});
    }
    if (!table.empty()) {
        session.output.out << "\n";
        table.print(session.output.out, session.output.terminal);
    }
}

void print_status(const Session &session, const json::value &status) {
    Facts facts;
    const std::string state = text_at(status, "state");
    facts.add("state", state, state == "ready" ? Tone::good : Tone::warn);
    facts.add("daemon", "version " + text_at(status, "version") + ", ABI " +
                            std::to_string(number_at(status, "abi")) + ", pid " +
                            std::to_string(number_at(status, "pid")) + ", up " +
                            human_duration(number_at(status, "uptime_s")));
    facts.add("gate root", text_at(status, "gate_root"));
    facts.add("pins", text_at(status, "bpffs"));
    facts.add("policies", std::to_string(number_at(status, "policies")) + " (" +
                              std::to_string(number_at(status, "images")) + " compiled), generation " +
                              std::to_string(number_at(status, "generation")));
    facts.add("containers", std::to_string(number_at(status, "containers")) + " running, " +
                                std::to_string(number_at(status, "dying")) + " dying");
    const json::value &reload = value_at(status, "last_reload");
    add_reload(facts, reload);
    Tone tone = Tone::plain;
    const std::string lost = losses(status, tone);
    facts.add("kernel lost", lost, tone);
    facts.print(session.output.out, session.output.terminal);
    print_maps(session, list_at(status, "maps"));
    for (const json::value &warning : list_at(status, "warnings"))
        if (const auto *text = warning.if_string())
            session.output.err << "warning: " << printable(*text) << "\n";
    print_diagnostics(session.output, list_at(reload, "diagnostics"));
}

std::string policies_of(const json::value &container) {
    const std::string policies = joined_at(container, "policies", "+");
    const std::string birth = text_at(container, "birth");
    return !policies.empty() ? policies : birth.empty() ? "-" : "- (birth: " + birth + ")";
}

// The first of its quotas that are spent, by when it turns; how many there are besides.
std::string spent_of(const json::value &container) {
    const auto &spent = list_at(container, "spent_quotas");
    if (spent.empty())
        return "";
    const auto first = std::min_element(spent.begin(), spent.end(), [](const auto &a, const auto &b) {
        return text_at(a, "turns") < text_at(b, "turns");
    });
    const std::string rule = text_at(*first, "rule"), turns = text_at(*first, "turns");
    return "spent" + (rule.empty() ? "" : " (" + text_at(*first, "policy") + "/" + rule + ")") +
           (turns.empty() ? "" : ", turns " + date_and_time(turns)) +
           (spent.size() > 1 ? ", and " + std::to_string(spent.size() - 1) + " more" : "");
}

// "5m 3s"; ">5m 3s": nothing was seen since the daemon looks, so long ago.
std::string idle_of(const json::value &container) {
    if (value_at(container, "idle_s").is_null())
        return "";
    const bool seen = !value_at(container, "last_activity").is_null();
    return (seen ? "" : ">") + human_duration(number_at(container, "idle_s"));
}

// "  title: text", in lines of the terminal's width, or 80.
void print_sentence(std::ostream &out, std::string_view title, const std::string &text,
                    const Terminal &terminal) {
    if (text.empty())
        return;
    const std::size_t width = terminal.columns ? terminal.columns : 80;
    const std::string indent(4, ' ');
    std::string line = indent + (title.empty() ? "" : std::string(title) + ": ");
    bool begun = false;
    std::istringstream words(printable(text));
    for (std::string word; words >> word;) {
        if (begun && text_columns(line) + 1 + text_columns(word) > width) {
            out << line << "\n";
            line = indent;
            begun = false;
        }
        line += (begun ? " " : "") + word;
        begun = true;
    }
    out << line << "\n";
}

} // namespace

int show_status(const Session &session) {
    int code = exit_ok;
    const auto status = ask(session, {.target = "/v1/status"}, code);
    if (!status)
        return code;
    if (session.output.format != Format::table)
        print_value(session.output, *status);
    else
        print_status(session, *status);
    return exit_ok;
}

int show_features(const Session &session) {
    int code = exit_ok;
    const auto answer = ask(session, {.target = "/v1/features"}, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table) {
        print_value(session.output, *answer);
        return exit_ok;
    }
    std::ostream &out = session.output.out;
    const Terminal &terminal = session.output.terminal;
    out << "kernel " << printable(text_at(*answer, "kernel")) << "\n\n";
    for (const json::value &feature : list_at(*answer, "features")) {
        const bool active = flag_at(feature, "active");
        const std::string detail = text_at(feature, "detail"), loses = text_at(feature, "loses");
        std::string name = printable(text_at(feature, "name"));
        name.resize(std::max<std::size_t>(name.size(), 16), ' ');
        out << name << "  " << toned(terminal, active ? Tone::good : Tone::bad, active ? "yes" : "NO")
            << "\n";
        print_sentence(out, active ? "" : "why", detail, terminal);
        if (loses != detail)
            print_sentence(out, "lost", loses, terminal);
    }
    return exit_ok;
}

int show_containers(const Session &session) {
    int code = exit_ok;
    const auto answer = ask(session, {.target = "/v1/containers"}, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table) {
        print_value(session.output, *answer);
        return exit_ok;
    }
    const auto &containers = list_at(*answer, "containers");
    std::vector<Table::Column> columns{
        {"CONTAINER", Table::Align::left, true}, {"POLICY", Table::Align::left, true}, {"MODE"}, {"STATE"},
        {"IDLE", Table::Align::right},           {"NAME", Table::Align::left, true},   {"BORN"}};
    if (std::any_of(containers.begin(), containers.end(), [](const auto &c) { return !spent_of(c).empty(); }))
        columns.push_back({"QUOTA"});
    Table table(columns);
    for (const json::value &container : containers) {
        const std::string state = text_at(container, "state"), mode = text_at(container, "mode");
        table.row({{text_at(container, "cgroup")},
                   {policies_of(container)},
                   {mode, mode == "enforce" ? Tone::plain : Tone::warn},
                   {state, state == "running" ? Tone::plain : Tone::dim},
                   {idle_of(container)},
                   {text_at(container, "name")},
                   {date_and_time(text_at(container, "born"))},
                   {spent_of(container), Tone::bad}});
    }
    table.print(session.output.out, session.output.terminal);
    return exit_ok;
}

} // namespace penstock::cli
