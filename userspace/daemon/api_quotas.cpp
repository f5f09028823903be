// SPDX-License-Identifier: Apache-2.0
// The endpoints about quotas, and what other endpoints say of them.
#include "policy/compile.h"
#include "userspace/base/clock.h"
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_router.h"
#include "userspace/kernel/maps.h"
#include "userspace/telemetry/names.h"

#include <charconv>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
using telemetry::utf8_text;
namespace {

json::value turns_json(const QuotaState &quota) {
    return quota.turns_wall_ns ? json::value(telemetry::time_text(wall_time(*quota.turns_wall_ns)))
                               : json::value();
}

json::object quota_json(const QuotaState &quota) {
    return {{"container", utf8_text(quota.container)},
            {"cgroup_id", telemetry::hex_id(quota.cgroup_id)},
            {"policy", quota.policy},
            {"rule", quota.rule},
            {"direction", directions_name(quota.directions)},
            {"window_s", quota.window_ns / 1'000'000'000},
            {"quota_bytes", quota.quota},
            {"granted_bytes", quota.granted},
            {"spent_bytes", quota.spent},
            {"left_bytes", quota.left()},
            {"per_cent", quota.per_cent()},
            {"is_spent", quota.is_spent},
            {"turns", turns_json(quota)}};
}

// Row by row: as one JSON value they would take some times the memory of their text.
ApiAnswer quotas_answer(const std::vector<QuotaState> &quotas) {
    ApiAnswer answer;
    answer.body = "{\"quotas\":[";
    for (const auto &quota : quotas)
        answer.body += (&quota != quotas.data() ? "," : "") + json::serialize(quota_json(quota));
    answer.body += "]}\n";
    return answer;
}

std::string whose(const QuotaState &quota) {
    return quota.rule.empty() ? "the container's quota" : "the quota of rule " + quota.rule;
}

// The rule a request names as POLICY/RULE, 0 if it names none; none if that is no such form.
std::optional<std::uint64_t> rule_of(const ApiRequest &request) {
    const auto given = request.query.find("rule");
    if (given == request.query.end())
        return 0;
    const auto slash = given->second.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == given->second.size())
        return std::nullopt;
    return policy::rule_id(given->second.substr(0, slash), given->second.substr(slash + 1));
}

std::optional<std::uint64_t> octets_of(const ApiRequest &request) {
    const auto given = request.query.find("bytes");
    std::uint64_t octets = 0;
    if (given == request.query.end())
        return std::nullopt;
    const char *const end = given->second.data() + given->second.size();
    const auto [last, error] = std::from_chars(given->second.data(), end, octets);
    if (error != std::errc{} || last != end || octets == 0 || octets > kernel::most_octets)
        return std::nullopt;
    return octets;
}

} // namespace

std::unordered_map<std::uint64_t, json::array> spent_quotas_json(const std::vector<QuotaState> &quotas) {
    std::unordered_map<std::uint64_t, json::array> spent;
    for (const auto &quota : quotas)
        if (quota.is_spent)
            spent[quota.cgroup_id].push_back({{"policy", quota.policy},
                                              {"rule", quota.rule},
                                              {"direction", directions_name(quota.directions)},
                                              {"turns", turns_json(quota)}});
    return spent;
}

void apply_spent(policy::Verdict &verdict, const QuotaState &quota, std::uint8_t mode) {
    if (!quota.is_spent)
        return;
    const bool for_answers = !(quota.directions >> abi::PS_EGRESS & 1);
    verdict.path.push_back(whose(quota) + " is spent" +
                           (quota.turns_wall_ns ? " until its window turns at " +
                                                      telemetry::time_text(wall_time(*quota.turns_wall_ns))
                                                : "") +
                           (for_answers ? ": what comes is denied" : ""));
    if (for_answers || verdict.verdict != abi::PS_ALLOW)
        return;
    verdict.verdict = mode == abi::PS_MODE_AUDIT ? abi::PS_WOULD_DENY : abi::PS_DENY;
    verdict.reason = abi::PS_R_QUOTA;
}

std::vector<telemetry::QuotaRow> quota_rows(const std::vector<QuotaState> &quotas) {
    std::vector<telemetry::QuotaRow> rows;
    for (const auto &quota : quotas) {
        telemetry::QuotaRow row{quota.container, quota.policy, quota.rule,     quota.allowance(),
                                quota.spent,     std::nullopt, quota.is_spent, quota.mode};
        if (quota.turns_wall_ns)
            row.turns = wall_time(*quota.turns_wall_ns);
        rows.push_back(std::move(row));
    }
    return rows;
}

asio::awaitable<std::shared_ptr<const std::vector<QuotaState>>> ApiRouter::begun_quotas() {
    auto read = [this] { return context_.quotas.list(); };
    co_return co_await begun_quotas_.get(read);
}

asio::awaitable<ApiAnswer> ApiRouter::quotas(const ApiRequest &request) {
    std::shared_ptr<const std::vector<QuotaState>> quotas;
    if (const auto wanted = request.query.find("container"); wanted != request.query.end()) {
        const auto found = find_container(context_.enforcer, wanted->second);
        if (const auto *fault = std::get_if<ApiAnswer>(&found))
            co_return *fault;
        auto of_one = co_await context_.quotas.list(std::get<const Container *>(found)->node.id);
        quotas = std::make_shared<const std::vector<QuotaState>>(std::move(of_one));
    } else {
        quotas = co_await begun_quotas();
    }
    auto write = [&] { return quotas_answer(*quotas); };
    co_return co_await on_pool(context_.readers, write);
}

ApiAnswer ApiRouter::change_quota(const ApiRequest &request) {
    if (!request.body.empty())
        return error_answer(400, "a change of a quota takes no body");
    const auto wanted = request.query.find("container");
    if (wanted == request.query.end())
        return error_answer(400, "expected container=C");
    const auto rule = rule_of(request);
    if (!rule)
        return error_answer(400, "rule: expected POLICY/RULE, not '" + request.query.at("rule") + "'");
    const bool adds = request.path[2] == "add";
    const auto octets = adds ? octets_of(request) : std::optional<std::uint64_t>(0);
    if (!octets)
        return error_answer(400, "bytes: expected a whole number from 1 to " +
                                     std::to_string(kernel::most_octets));
    const auto found = find_container(context_.enforcer, wanted->second);
    if (const auto *fault = std::get_if<ApiAnswer>(&found))
        return *fault;
    const Container &container = *std::get<const Container *>(found);
    const auto outcome =
        adds ? context_.quotas.add(container, *rule, *octets) : context_.quotas.reset(container, *rule);
    if (!outcome)
        return error_answer(500, outcome.error().message);
    const std::string name = *rule != 0 ? "rule " + request.query.at("rule") : "container";
    if (*outcome == Quotas::Outcome::no_quota)
        return error_answer(404, *rule != 0
                                     ? "container " + container.node.path + ": " + name + " has no quota"
                                     : "container " + container.node.path +
                                           " has no quota as a whole; name one of its rules");
    if (*outcome == Quotas::Outcome::not_begun)
        return error_answer(
            409, "nothing is spent yet: the quota is whole, and its window begins with the first packet");
    if (*outcome == Quotas::Outcome::other_window)
        return error_answer(409,
                            "the policy gave the quota a window of another length: it begins with the next "
                            "packet, and has what is spent; add to it then");
    const auto now = context_.quotas.find(container, *rule);
    if (!now)
        return error_answer(500, now.error().message);
    return json_answer({{"quotas", *now ? json::array{quota_json(**now)} : json::array()}});
}

} // namespace penstock::daemon
