// SPDX-License-Identifier: Apache-2.0
// Which endpoint a request is for, and the reading ones.
#include "userspace/daemon/api_router.h"

#include "userspace/daemon/api_answers.h"
#include "userspace/telemetry/json.h"
#include "userspace/telemetry/names.h"
#include "userspace/telemetry/prometheus.h"

#include <algorithm>
#include <initializer_list>
#include <sys/utsname.h>
#include <unistd.h>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
using telemetry::hex_id;
using telemetry::time_text;
using telemetry::utf8_text;
namespace {

struct Endpoint {
    std::vector<std::string_view> path; // "*": any one segment
    std::vector<std::string_view> methods;
    std::vector<std::string_view> parameters;
    bool metrics = false; // served over TCP, too
};

const std::vector<Endpoint> &endpoints() {
    static const std::vector<Endpoint> all = {
        {{"v1", "status"}, {"GET"}, {}},
        {{"v1", "features"}, {"GET"}, {}},
        {{"v1", "containers"}, {"GET"}, {}},
        {{"v1", "containers", "*"}, {"GET"}, {}},
        {{"v1", "policies"}, {"GET", "POST"}, {"file"}},
        {{"v1", "policies", "check"}, {"POST"}, {"file"}},
        {{"v1", "policies", "diff"}, {"POST"}, {"file"}},
        {{"v1", "policies", "*"}, {"GET", "DELETE"}, {}},
        {{"v1", "counters"}, {"GET"}, {"container"}},
        {{"v1", "events"}, {"GET"}, {"follow", "denied", "container"}},
        {{"v1", "flows"}, {"GET"}, {"follow", "container"}},
        {{"v1", "learned"}, {"GET"}, {"container"}},
        {{"v1", "quotas"}, {"GET"}, {"container"}},
        {{"v1", "quotas", "reset"}, {"POST"}, {"container", "rule"}},
        {{"v1", "quotas", "add"}, {"POST"}, {"container", "rule", "bytes"}},
        {{"v1", "explain"}, {"GET"}, {"container", "domain", "ip", "port"}},
        {{"v1", "suggest"}, {"GET"}, {"container", "fold"}},
        {{"v1", "reload"}, {"POST"}, {}},
        {{"metrics"}, {"GET"}, {}, true},
        {{"healthz"}, {"GET"}, {}, true},
        {{"readyz"}, {"GET"}, {}, true},
    };
    return all;
}

bool matches(const Endpoint &endpoint, const std::vector<std::string> &path) {
    if (endpoint.path.size() != path.size())
        return false;
    for (std::size_t i = 0; i < path.size(); ++i)
        if (endpoint.path[i] != "*" && endpoint.path[i] != path[i])
            return false;
    return true;
}

// The answer to a request that no endpoint takes as it is.
std::optional<ApiAnswer> refuse(const ApiRequest &request) {
    const auto &all = endpoints();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto &e) { return matches(e, request.path); });
    if (found == all.end() || (request.metrics_only && !found->metrics)) {
        std::string path;
        for (const auto &segment : request.path)
            path += "/" + segment;
        return error_answer(404, "no such path: " + path);
    }
    if (std::find(found->methods.begin(), found->methods.end(), request.method) == found->methods.end()) {
        auto answer = error_answer(405, "method " + request.method + " is not for this path");
        for (const auto method : found->methods)
            answer.allow += (answer.allow.empty() ? "" : ", ") + std::string(method);
        return answer;
    }
    for (const auto &[name, value] : request.query)
        if (std::find(found->parameters.begin(), found->parameters.end(), name) == found->parameters.end())
            return error_answer(400, "unknown parameter '" + name + "'");
    return std::nullopt;
}

std::optional<bool> flag(const ApiRequest &request, const std::string &name) {
    const auto found = request.query.find(name);
    if (found == request.query.end())
        return false;
    if (found->second == "1" || found->second == "0")
        return found->second == "1";
    return std::nullopt;
}

std::string kernel_release() {
    utsname name{};
    ::uname(&name);
    return name.release;
}

} // namespace

asio::awaitable<ApiAnswer> ApiRouter::answer(ApiRequest request) {
    if (auto refused = refuse(request))
        co_return std::move(*refused);
    if (request.method == "GET")
        co_return co_await get(request);
    co_return co_await post(request);
}

asio::awaitable<ApiAnswer> ApiRouter::get(const ApiRequest &request) {
    if (request.path[0] == "metrics")
        co_return co_await metrics();
    if (request.path[0] == "healthz")
        co_return json_answer({{"status", "ok"}});
    if (request.path[0] == "readyz")
        co_return ready();
    const auto &what = request.path[1];
    if (what == "status")
        co_return co_await status();
    if (what == "features")
        co_return co_await features();
    if (what == "counters")
        co_return co_await counters(request);
    if (what == "events")
        co_return stream(request, context_.events);
    if (what == "flows")
        co_return stream(request, context_.flows);
    if (what == "learned")
        co_return co_await learned(request);
    if (what == "quotas")
        co_return co_await quotas(request);
    if (what == "explain")
        co_return co_await explain(request);
    if (what == "suggest")
        co_return co_await suggest(request);
    if (what == "containers" && request.path.size() == 3) {
        const auto found = find_container(context_.enforcer, request.path[2]);
        if (const auto *fault = std::get_if<ApiAnswer>(&found))
            co_return *fault;
        co_return co_await container(*std::get<const Container *>(found));
    }
    if (what == "containers")
        co_return co_await containers();
    const auto set = context_.enforcer.policies();
    std::vector<std::size_t> order;
    for (std::size_t i = 0; set && i < set->policies.size(); ++i)
        order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](auto a, auto b) { return set->policies[a].name < set->policies[b].name; });
    json::array all;
    for (const auto index : order) {
        if (request.path.size() == 3 && set->policies[index].name == request.path[2])
            co_return json_answer(policy_detail_json(*set, index, context_.enforcer));
        if (request.path.size() == 2)
            all.push_back(policy_json(*set, index, context_.enforcer));
    }
    if (request.path.size() == 3)
        co_return error_answer(404, "no policy '" + request.path[2] + "' is in force");
    co_return json_answer({{"policies", std::move(all)}});
}

ApiAnswer ApiRouter::ready() const {
    if (context_.stopping)
        return error_answer(503, "stopping");
    if (!context_.pins_trouble.empty())
        return error_answer(503, context_.pins_trouble);
    if (!context_.control.last())
        return error_answer(503, "starting: policies are not in force yet");
    if (!context_.control.trouble().empty())
        return error_answer(503, context_.control.trouble());
    if (!context_.enforcer.all_bound())
        return error_answer(503, "not every container is bound to its policy");
    return json_answer({{"status", "ok"}});
}

asio::awaitable<std::shared_ptr<const Result<telemetry::Snapshot>>> ApiRouter::snapshot() {
    auto read = [this] { return read_snapshot(); };
    co_return co_await snapshots_.get(read);
}

asio::awaitable<Result<telemetry::Snapshot>> ApiRouter::read_snapshot() {
    auto snapshot = co_await context_.meter.snapshot();
    if (snapshot) {
        const auto set = context_.enforcer.policies();
        snapshot->policies = set ? set->policies.size() : 0;
        if (const auto &last = context_.control.last()) {
            snapshot->reload_ok = last->ok;
            snapshot->reload_time = last->time;
        }
        snapshot->events_dropped = context_.events.dropped();
        snapshot->ready = ready().status == 200;
    }
    co_return snapshot;
}

asio::awaitable<ApiAnswer> ApiRouter::status() {
    const auto shared = co_await snapshot();
    const auto &now = *shared;
    if (!now)
        co_return error_answer(500, now.error().message);
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(now->time - context_.started);
    const bool is_ready = ready().status == 200;
    json::value reload;
    if (const auto &last = context_.control.last())
        reload = json::object{{"time", time_text(last->time)},
                              {"ok", last->ok},
                              {"diagnostics", diagnostics_json(last->diagnostics)}};
    auto warnings = context_.enforcer.warnings();
    warnings.insert(warnings.end(), context_.absent_roots.begin(), context_.absent_roots.end());
    warnings.insert(warnings.end(), context_.damaged.begin(), context_.damaged.end());
    const auto unstored = context_.quotas.troubles();
    warnings.insert(warnings.end(), unstored.begin(), unstored.end());
    warnings.insert(warnings.end(), {context_.control.trouble(), context_.pins_trouble});
    std::erase(warnings, "");
    json::object kernel = {{"events_lost", now->events_lost},
                           {"counters_lost", now->counters_lost},
                           {"births_lost", now->births_lost},
                           {"scratch_lost", now->scratch_lost}};
    co_return json_answer({{"version", PENSTOCK_VERSION},
                           {"abi", now->abi_version},
                           {"pid", ::getpid()},
                           {"uptime_s", uptime.count()},
                           {"started", time_text(context_.started)},
                           {"state", context_.stopping                ? "stopping"
                                     : is_ready                       ? "ready"
                                     : !context_.pins_trouble.empty() ? "unenforced"
                                                                      : "starting"},
                           {"gate_root", context_.gate_root},
                           {"gate_root_id", hex_id(context_.gate_root_id)},
                           {"bpffs", context_.bpffs},
                           {"generation", now->generation},
                           {"policies", now->policies},
                           {"images", now->images},
                           {"containers", now->containers},
                           {"dying", now->dying},
                           {"last_reload", std::move(reload)},
                           {"warnings", strings_json(warnings)},
                           {"kernel", std::move(kernel)},
                           {"maps", telemetry::maps_json(*now)}});
}

asio::awaitable<ApiAnswer> ApiRouter::features() {
    const auto shared = co_await snapshot();
    const auto &now = *shared;
    if (!now)
        co_return error_answer(500, now.error().message);
    co_return json_answer(telemetry::features_json(*now, kernel_release()));
}

asio::awaitable<ApiAnswer> ApiRouter::metrics() {
    const auto shared = co_await snapshot();
    const auto &now = *shared;
    if (!now)
        co_return error_answer(500, now.error().message);
    const auto quotas = co_await begun_quotas();
    auto write = [&] {
        ApiAnswer answer;
        answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
        answer.body = telemetry::prometheus_text(*now, quota_rows(*quotas));
        return answer;
    };
    co_return co_await on_pool(context_.readers, write);
}

ApiAnswer ApiRouter::stream(const ApiRequest &request, telemetry::EventLog &from) const {
    ApiAnswer answer;
    answer.events.emplace();
    answer.events->from = &from;
    const auto follow = flag(request, "follow"), denied = flag(request, "denied");
    if (!follow || !denied)
        return error_answer(400, "follow and denied are 1 or 0");
    answer.events->follow = *follow;
    answer.events->denied_only = *denied;
    if (const auto wanted = request.query.find("container"); wanted != request.query.end()) {
        const auto found = find_container(context_.enforcer, wanted->second);
        if (const auto *fault = std::get_if<ApiAnswer>(&found))
            return *fault;
        answer.events->container = std::get<const Container *>(found)->node.id;
    }
    return answer;
}

} // namespace penstock::daemon
