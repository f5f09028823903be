// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_answers.h"

#include "userspace/base/clock.h"
#include "userspace/container/path.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <charconv>

namespace penstock::daemon {
namespace json = boost::json;
using telemetry::hex_id;
using telemetry::utf8_text;
namespace {

std::optional<std::uint64_t> parse_id(std::string_view text) {
    const int base = text.starts_with("0x") ? 16 : 10;
    if (base == 16)
        text.remove_prefix(2);
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, base);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return id;
}

bool ends_in_components(std::string_view path, std::string_view tail) {
    return path.size() > tail.size() && path.ends_with(tail) && path[path.size() - tail.size() - 1] == '/';
}

} // namespace

ApiAnswer json_answer(const json::value &value, unsigned status) {
    ApiAnswer answer;
    answer.status = status;
    answer.body = json::serialize(value) + "\n";
    return answer;
}

ApiAnswer change_answer(const ChangeOutcome &outcome, std::uint32_t generation, bool count_only) {
    if (outcome.status != 200)
        return json_answer(
            {{"error", utf8_text(outcome.error)}, {"diagnostics", diagnostics_json(outcome.diagnostics)}},
            outcome.status);
    json::value policies =
        count_only ? json::value(outcome.policies.size()) : json::value(strings_json(outcome.policies));
    return json_answer({{"policies", std::move(policies)},
                        {"generation", generation},
                        {"diagnostics", diagnostics_json(outcome.diagnostics)}});
}

json::array diagnostics_json(const policy::Diagnostics &diagnostics) {
    json::array all;
    for (const auto &diagnostic : diagnostics) {
        const bool error = diagnostic.severity == policy::Diagnostic::Severity::error;
        all.push_back({{"severity", error ? "error" : "warning"},
                       {"file", utf8_text(diagnostic.file)},
                       {"line", diagnostic.line},
                       {"column", diagnostic.column},
                       {"path", utf8_text(diagnostic.path)},
                       {"message", utf8_text(diagnostic.message)}});
    }
    return all;
}

json::array strings_json(const std::vector<std::string> &texts) {
    json::array all;
    for (const auto &text : texts)
        all.push_back(json::string(utf8_text(text)));
    return all;
}

std::string_view container_mode(const Container &container) {
    if (container.image)
        return telemetry::mode_name(container.image->settings.mode);
    switch (container.birth) {
    case abi::PS_POLICY_BIRTH_DENY:
        return "enforce";
    case abi::PS_POLICY_BIRTH_ALLOW:
        return "open";
    case abi::PS_POLICY_BIRTH_AUDIT:
        return "audit";
    default:
        return "enforce"; // bound to nothing, which denies
    }
}

json::object container_json(const Container &container, const Meter &meter) {
    auto policies = container.policies;
    std::sort(policies.begin(), policies.end());
    json::value last_activity, idle_s, as_of;
    if (const auto idle = meter.idle(container)) {
        if (idle->last_ns)
            last_activity = telemetry::time_text(wall_time(wall_of_monotonic(*idle->last_ns)));
        const auto since = idle->last_ns.value_or(idle->since_ns);
        idle_s = idle->as_of_ns > since ? (idle->as_of_ns - since) / 1'000'000'000 : 0;
        as_of = telemetry::time_text(wall_time(wall_of_monotonic(idle->as_of_ns)));
    }
    return {{"cgroup", utf8_text(container.node.path)},
            {"cgroup_id", hex_id(container.node.id)},
            {"slot", container.row.slot},
            {"state", container.removed ? "dying" : "running"},
            {"policies", strings_json(policies)},
            {"mode", container_mode(container)},
            {"birth", container.policies.empty() ? telemetry::birth_name(container.birth) : ""},
            {"generation", container.image ? container.handle.generation : 0},
            {"policy_hash", hex_id(container.image ? container.image->settings.content_hash : 0)},
            {"strict_root", (container.row.row_flags & abi::PS_ROW_STRICT_ROOT) != 0},
            {"born", telemetry::time_text(wall_time(wall_of_monotonic(container.row.born_ns)))},
            {"spent_quotas", json::array()},
            {"last_activity", std::move(last_activity)},
            {"idle_s", std::move(idle_s)},
            {"activity_as_of", std::move(as_of)},
            {"runtime", ""},
            {"name", ""},
            {"id", ""},
            {"image", ""},
            {"labels", json::object()}};
}

json::object verdict_json(const policy::Verdict &verdict, const Meter &meter) {
    const auto *name = meter.rule(verdict.rule);
    return {{"verdict", telemetry::verdict_name(verdict.verdict)},
            {"reason", telemetry::reason_name(verdict.reason)},
            {"policy", name && verdict.rule ? name->policy : ""},
            {"rule", name && verdict.rule ? name->rule : ""},
            {"match", utf8_text(verdict.name)},
            {"path", strings_json(verdict.path)}};
}

std::variant<const Container *, ApiAnswer> find_container(const Enforcer &enforcer,
                                                          const std::string &reference) {
    const auto id = parse_id(reference);
    const Container *by_path = nullptr;
    std::vector<const Container *> by_tail;
    for (const auto &[cgroup, container] : enforcer.containers()) {
        if (id == cgroup)
            return &container;
        if (container.node.path == reference) {
            // Of two tenants of one path the living one is meant.
            if (!by_path || by_path->removed)
                by_path = &container;
        } else if (!reference.empty() && !container.removed &&
                   ends_in_components(container.node.path, reference)) {
            by_tail.push_back(&container);
        }
    }
    if (by_path)
        return by_path;
    if (by_tail.size() == 1)
        return by_tail.front();
    if (by_tail.empty())
        return error_answer(404, "no container '" + reference + "'");
    std::vector<std::string> paths;
    for (const auto *container : by_tail)
        paths.push_back(container->node.path);
    std::sort(paths.begin(), paths.end());
    std::string text = "'" + reference + "' is one of several containers:";
    for (const auto &path : paths)
        text += " " + path;
    return error_answer(409, text);
}

} // namespace penstock::daemon
