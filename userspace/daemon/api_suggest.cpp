// SPDX-License-Identifier: Apache-2.0
// GET /v1/suggest: a container's record of audit as the least policy that allows it.
#include "policy/suggest.h"
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_router.h"
#include "userspace/daemon/audit_keeper.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
using telemetry::time_text;
using telemetry::utf8_text;
namespace {

constexpr std::size_t least_fold = 2, most_fold = 4096;

std::optional<std::size_t> fold_of(const ApiRequest &request) {
    const auto found = request.query.find("fold");
    if (found == request.query.end())
        return 0;
    std::size_t value = 0;
    const auto &text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least_fold || value > most_fold)
        return std::nullopt;
    return value;
}

policy::Recorded::Kind kind_of(telemetry::Audited::Kind kind) {
    switch (kind) {
    case telemetry::Audited::Kind::question:
        return policy::Recorded::Kind::question;
    case telemetry::Audited::Kind::flow:
        return policy::Recorded::Kind::flow;
    case telemetry::Audited::Kind::resolver:
        return policy::Recorded::Kind::resolver;
    case telemetry::Audited::Kind::other:
        break;
    }
    return policy::Recorded::Kind::other;
}

std::vector<policy::Recorded> recorded(const telemetry::AuditRecord &record) {
    std::vector<policy::Recorded> all;
    for (const auto &entry : record.entries()) {
        const auto &what = entry.what;
        policy::Recorded one{kind_of(what.kind), what.name, what.remote, what.protocol, what.port};
        one.learned = entry.learned;
        one.times = entry.times;
        one.first = time_text(entry.first);
        one.last = time_text(entry.last);
        all.push_back(std::move(one));
    }
    return all;
}

std::string_view kind_name(policy::Recorded::Kind kind) {
    switch (kind) {
    case policy::Recorded::Kind::question:
        return "question";
    case policy::Recorded::Kind::flow:
        return "flow";
    case policy::Recorded::Kind::resolver:
        return "resolver";
    case policy::Recorded::Kind::other:
        break;
    }
    return "other";
}

json::object blocked_json(const policy::Blocked &blocked) {
    const auto &what = blocked.what;
    const bool addressed =
        what.kind == policy::Recorded::Kind::flow || what.kind == policy::Recorded::Kind::resolver;
    return {{"kind", kind_name(what.kind)},
            {"name", utf8_text(what.name)},
            {"remote", addressed ? what.remote.text() : ""},
            {"protocol", telemetry::protocol_name(what.protocol)},
            {"port", what.port},
            {"times", what.times},
            {"first", what.first},
            {"last", what.last},
            {"why", utf8_text(blocked.why)}};
}

ApiAnswer suggest_answer(const Container &container, const policy::SuggestInput &input) {
    const auto suggestion = policy::suggest(input);
    json::array rules, blocked;
    for (const auto &rule : suggestion.policy.allow) {
        auto object = rule_json(suggestion.policy, rule, "allow");
        object["private"] = rule.learn_private.value_or(false);
        rules.push_back(std::move(object));
    }
    for (const auto &entry : suggestion.blocked)
        blocked.push_back(blocked_json(entry));
    std::vector<std::string> resolvers, in_force;
    for (const auto &address : suggestion.policy.dns.resolvers.value_or(std::vector<policy::Address>()))
        resolvers.push_back(address.text());
    for (const auto *policy : input.in_force)
        in_force.push_back(policy->name);
    return json_answer({{"container", utf8_text(container.node.path)},
                        {"cgroup_id", telemetry::hex_id(container.node.id)},
                        {"mode", container_mode(container)},
                        {"policies", strings_json(in_force)},
                        {"name", suggestion.policy.name},
                        {"policy", suggestion.text},
                        {"rules", std::move(rules)},
                        {"resolvers", strings_json(resolvers)},
                        {"blocked", std::move(blocked)},
                        {"recorded", input.record.size()},
                        {"allowed_already", suggestion.allowed_already},
                        {"unrecorded", input.unrecorded},
                        {"fold", input.fold}});
}

} // namespace

asio::awaitable<ApiAnswer> ApiRouter::suggest(const ApiRequest &request) {
    const auto wanted = request.query.find("container");
    if (wanted == request.query.end())
        co_return error_answer(400, "expected container=C");
    const auto fold = fold_of(request);
    if (!fold)
        co_return error_answer(400, "fold: expected a number from " + std::to_string(least_fold) + " to " +
                                        std::to_string(most_fold));
    const auto found = find_container(context_.enforcer, wanted->second);
    if (const auto *fault = std::get_if<ApiAnswer>(&found))
        co_return *fault;
    const Container container = *std::get<const Container *>(found); // a copy: it may go while we wait
    co_await context_.audit.look_up_names();
    const auto shared = co_await snapshot();
    const auto &now = *shared;
    if (!now)
        co_return error_answer(500, now.error().message);

    if (*checks_waiting_ >= most_checks)
        co_return error_answer(503, "too many policies wait to be checked");
    const CountedCheck counted(checks_waiting_);
    const auto turn = co_await check_turn_.take();
    const auto set = context_.enforcer.policies();
    const auto record = context_.audit.of(container.node.path);
    policy::SuggestInput input;
    input.cgroup = container.node.path;
    input.environment = context_.enforcer.environment();
    input.record = recorded(record);
    input.fold = *fold;
    input.unrecorded = record.dropped();
    for (const auto &row : now->counters)
        if (row.cgroup_id == container.node.id && row.verdict == abi::PS_UNTOLD &&
            row.reason != abi::PS_R_QUOTA_MARK)
            input.unrecorded += row.packets;
    for (std::size_t i = 0; set && i < set->policies.size(); ++i)
        input.names_taken.push_back(set->policies[i].name);
    for (const auto &name : container.policies)
        if (const auto *policy = set ? set->find(name) : nullptr)
            input.in_force.push_back(policy);
    auto work = [&] { return suggest_answer(container, input); };
    co_return co_await on_pool(context_.checks, work);
}

} // namespace penstock::daemon
