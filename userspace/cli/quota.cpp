// SPDX-License-Identifier: Apache-2.0
// quota, quota reset, quota add: what is spent of quotas, and changes to it.
#include "policy/units.h"
#include "userspace/cli/commands.h"
#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>

#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

constexpr std::uint64_t warn_at = 80; // per cent, as the event

std::string whose(const json::value &quota) {
    const std::string rule = text_at(quota, "rule");
    return rule.empty() ? "(container)" : text_at(quota, "policy") + "/" + rule;
}

void print_quotas(const Session &session, const json::value &answer) {
    Table table({{"CONTAINER", Table::Align::left, true},
                 {"RULE", Table::Align::left, true},
                 {"SPENT", Table::Align::right},
                 {"OF", Table::Align::right},
                 {"LEFT", Table::Align::right},
                 {"%", Table::Align::right},
                 {"TURNS"}});
    for (const json::value &quota : list_at(answer, "quotas")) {
        const std::uint64_t per_cent = number_at(quota, "per_cent");
        const std::string turns = text_at(quota, "turns");
        table.row({{text_at(quota, "container")},
                   {whose(quota)},
                   {human_bytes(number_at(quota, "spent_bytes"))},
                   {human_bytes(number_at(quota, "quota_bytes") + number_at(quota, "granted_bytes"))},
                   {human_bytes(number_at(quota, "left_bytes"))},
                   {flag_at(quota, "is_spent") ? "spent" : std::to_string(per_cent),
                    flag_at(quota, "is_spent") ? Tone::bad
                    : per_cent >= warn_at      ? Tone::warn
                                               : Tone::plain},
                   {turns.empty() ? "-" : date_and_time(turns)}});
    }
    table.print(session.output.out, session.output.terminal);
}

int show(const Session &session, const Request &request) {
    int code = exit_ok;
    const auto answer = ask(session, request, code);
    if (!answer)
        return code;
    if (session.output.format != Format::table)
        print_value(session.output, *answer);
    else
        print_quotas(session, *answer);
    return exit_ok;
}

} // namespace

int show_quotas(const Session &session, const std::string &container) {
    return show(session, {.target = target("/v1/quotas", {{"container", container}})});
}

int reset_quota(const Session &session, const QuotaOptions &options) {
    return show(session, {.method = "POST",
                          .target = target("/v1/quotas/reset",
                                           {{"container", options.container}, {"rule", options.rule}})});
}

int add_quota(const Session &session, const QuotaOptions &options) {
    const auto octets = policy::parse_size(options.size);
    if (!octets)
        return fail(session.output, "SIZE: " + octets.error().message, exit_failed);
    return show(session, {.method = "POST",
                          .target = target("/v1/quotas/add", {{"container", options.container},
                                                              {"rule", options.rule},
                                                              {"bytes", std::to_string(*octets)}})});
}

} // namespace penstock::cli
