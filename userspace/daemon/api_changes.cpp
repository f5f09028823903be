// SPDX-License-Identifier: Apache-2.0
// The endpoints that judge or change policy.
#include "userspace/container/glob.h"
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_router.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <iterator>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

constexpr unsigned most_checks = 4; // one is judged, the others wait

// Shares the counter: at the end of the loop the frame that holds this is destroyed after the router.
struct Counted {
    explicit Counted(std::shared_ptr<unsigned> counter) : count(std::move(counter)) { ++*count; }
    ~Counted() { --*count; }
    Counted(const Counted &) = delete;
    Counted &operator=(const Counted &) = delete;
    std::shared_ptr<unsigned> count;
};

// The text in the body; none if its Content-Type is no policy format.
std::optional<policy::Source> source_of(const ApiRequest &request) {
    policy::Source source;
    const auto file = request.query.find("file");
    source.file = file == request.query.end() ? "-" : file->second;
    source.text = request.body;
    const auto type = request.content_type.substr(0, request.content_type.find(';'));
    if (type.empty() || type == "application/yaml" ||
        type == "application/x-www-form-urlencoded") // curl's default
        source.format = policy::Format::yaml;
    else if (type == "application/json")
        source.format = policy::Format::json;
    else if (type == "application/x-protobuf")
        source.format = policy::Format::protobuf;
    else
        return std::nullopt;
    return source;
}

ApiAnswer check_answer(const policy::Loaded &loaded) {
    json::array names;
    json::object unenforced;
    for (const auto &policy : loaded.policies) {
        names.push_back(json::string(policy.name));
        json::array fields;
        for (const auto &field : policy.unenforced())
            fields.push_back(json::string("spec." + field));
        if (!fields.empty())
            unenforced[policy.name] = std::move(fields);
    }
    return json_answer({{"ok", !policy::has_errors(loaded.diagnostics)},
                        {"policies", std::move(names)},
                        {"unenforced", std::move(unenforced)},
                        {"diagnostics", diagnostics_json(loaded.diagnostics)}});
}

json::object diff_json(const policy::Policy &wanted, const policy::Policy *now, const Enforcer &enforcer) {
    using Values = std::vector<std::pair<std::string, std::string>>;
    const Values before = now ? policy_values(*now) : Values{};
    const Values after = policy_values(wanted);
    Values removed, added;
    std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                        std::back_inserter(removed));
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(added));
    struct Change {
        std::string path;
        bool add;
        std::string value;
    };
    std::vector<Change> changes;
    for (auto &[path, value] : removed)
        changes.push_back({path, false, value});
    for (auto &[path, value] : added)
        changes.push_back({path, true, value});
    std::stable_sort(changes.begin(), changes.end(), [](const auto &a, const auto &b) {
        return std::tie(a.path, a.add) < std::tie(b.path, b.add);
    });
    json::array rows;
    for (const auto &change : changes)
        rows.push_back({{"op", change.add ? "add" : "remove"},
                        {"path", telemetry::utf8_text(change.path)},
                        {"value", telemetry::utf8_text(change.value)}});

    std::vector<std::string> containers;
    const container::Selection would({wanted}, enforcer.gate_root(), {});
    for (const auto &[path, node] : enforcer.tree().nodes()) {
        const auto known = enforcer.containers().find(node.id);
        const bool selected = known != enforcer.containers().end() &&
                              std::find(known->second.policies.begin(), known->second.policies.end(),
                                        wanted.name) != known->second.policies.end();
        if (selected || would.standing(path).kind == container::Standing::Kind::selected)
            containers.push_back(path);
    }
    return {{"name", wanted.name},
            {"change", !now           ? "added"
                       : rows.empty() ? "unchanged"
                                      : "changed"},
            {"containers", strings_json(containers)},
            {"changes", std::move(rows)}};
}

} // namespace

asio::awaitable<ApiAnswer> ApiRouter::post(const ApiRequest &request) {
    const bool judges = request.path.size() == 3 && request.method == "POST"; // check, diff
    if (!judges && !request.may_change)
        co_return error_answer(403, "only root may change policies");
    if (request.path[1] == "reload") {
        if (!request.body.empty())
            co_return error_answer(400, "a reload takes no body");
        const auto outcome = co_await context_.control.reload();
        co_return change_answer(outcome, context_.enforcer.generation(), true);
    }
    if (request.method == "DELETE") {
        const auto outcome = co_await context_.control.remove(request.path[2]);
        co_return change_answer(outcome, context_.enforcer.generation(), false);
    }
    const auto source = source_of(request);
    if (!source)
        co_return error_answer(
            400, "Content-Type must be application/yaml, application/json or application/x-protobuf, not '" +
                     request.content_type + "'");
    if (!judges) {
        const auto outcome = co_await context_.control.apply(*source);
        co_return change_answer(outcome, context_.enforcer.generation(), false);
    }
    if (*checks_waiting_ >= most_checks)
        co_return error_answer(503, "too many policies wait to be checked");
    const Counted counted(checks_waiting_);
    const auto turn = co_await check_turn_.take();
    co_return co_await judge(request, *source);
}

asio::awaitable<ApiAnswer> ApiRouter::judge(const ApiRequest &request, const policy::Source &source) {
    auto load = [&] {
        const std::vector<policy::Source> one(1, source);
        return policy::load(one);
    };
    const auto loaded = co_await on_pool(context_.checks, load);
    if (request.path[2] == "check")
        co_return check_answer(loaded);
    if (policy::has_errors(loaded.diagnostics)) {
        ChangeOutcome refused;
        refused.status = 422;
        refused.error = "policy refused";
        refused.diagnostics = loaded.diagnostics;
        co_return change_answer(refused, 0, false);
    }
    const auto set = context_.enforcer.policies();
    json::array policies;
    for (const auto &policy : loaded.policies)
        policies.push_back(diff_json(policy, set ? set->find(policy.name) : nullptr, context_.enforcer));
    co_return json_answer(
        {{"policies", std::move(policies)}, {"diagnostics", diagnostics_json(loaded.diagnostics)}});
}

} // namespace penstock::daemon
