// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_judge.h"

#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/lost_traffic.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace penstock::daemon {
namespace json = boost::json;
namespace {

constexpr std::size_t most_documents = 1024; // of one text

json::object check_json(const policy::Loaded &loaded) {
    json::array names;
    for (const auto &policy : loaded.policies)
        names.push_back(json::string(policy.name));
    return {{"ok", !policy::has_errors(loaded.diagnostics)},
            {"policies", std::move(names)},
            {"diagnostics", diagnostics_json(loaded.diagnostics)}};
}

struct Change {
    std::string path;
    bool add = false;
    std::string value;
};

std::vector<Change> changes_of(const policy::Policy &wanted, const policy::Policy *now) {
    using Values = std::vector<std::pair<std::string, std::string>>;
    const Values before = now ? policy_values(*now) : Values{};
    const Values after = policy_values(wanted);
    Values removed, added;
    std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                        std::back_inserter(removed));
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(), std::back_inserter(added));
    std::vector<Change> changes;
    for (auto &[path, value] : removed)
        changes.push_back({path, false, value});
    for (auto &[path, value] : added)
        changes.push_back({path, true, value});
    std::stable_sort(changes.begin(), changes.end(), [](const auto &a, const auto &b) {
        return std::tie(a.path, a.add) < std::tie(b.path, b.add);
    });
    return changes;
}

json::object diff_json(const policy::Policy &wanted, const policy::Policy *now,
                       const std::vector<std::string> &containers) {
    json::array rows;
    for (const auto &change : changes_of(wanted, now))
        rows.push_back({{"op", change.add ? "add" : "remove"},
                        {"path", telemetry::utf8_text(change.path)},
                        {"value", telemetry::utf8_text(change.value)}});
    return {{"name", wanted.name},
            {"change", !now           ? "added"
                       : rows.empty() ? "unchanged"
                                      : "changed"},
            {"containers", strings_json(containers)},
            {"changes", std::move(rows)}};
}

// By policy: the containers that have it, or would if the text were applied.
std::vector<std::vector<std::string>> containers_of(const std::vector<policy::Policy> &wanted,
                                                    const InForceNow &now) {
    std::map<std::string_view, std::size_t> by_name;
    for (std::size_t i = 0; i < wanted.size(); ++i)
        by_name[wanted[i].name] = i;
    const container::Selection would(wanted, now.gate_root, {});
    std::vector<std::vector<std::string>> containers(wanted.size());
    for (const auto &[path, names] : now.cgroups) {
        auto selecting = would.standing(path).policies; // none of what is part of a container
        for (const auto &name : names)
            if (const auto found = by_name.find(name); found != by_name.end())
                selecting.push_back(found->second);
        std::sort(selecting.begin(), selecting.end());
        selecting.erase(std::unique(selecting.begin(), selecting.end()), selecting.end());
        for (const auto index : selecting)
            containers[index].push_back(path);
    }
    return containers;
}

json::array lost_json(const policy::Loaded &loaded, const InForceNow &now) {
    static const std::vector<policy::Policy> none;
    json::array rows;
    for (const auto &[row, why] : lost_traffic({loaded.policies, now.set ? now.set->policies : none,
                                                now.gate_root, now.birth, now.environment, now.counters}))
        rows.push_back({{"container", telemetry::utf8_text(row.container)},
                        {"cgroup_id", telemetry::hex_id(row.cgroup_id)},
                        {"policy", row.policy},
                        {"rule", row.rule},
                        {"domain", telemetry::utf8_text(row.domain)},
                        {"reason", why},
                        {"packets", row.packets},
                        {"bytes", row.bytes}});
    return rows;
}

ApiAnswer diff_answer(const policy::Loaded &loaded, const InForceNow &now) {
    const auto containers = containers_of(loaded.policies, now);
    json::array policies;
    for (std::size_t i = 0; i < loaded.policies.size(); ++i) {
        const auto &wanted = loaded.policies[i];
        policies.push_back(diff_json(wanted, now.set ? now.set->find(wanted.name) : nullptr, containers[i]));
    }
    return json_answer({{"policies", std::move(policies)},
                        {"would_deny", lost_json(loaded, now)},
                        {"diagnostics", diagnostics_json(loaded.diagnostics)}});
}

} // namespace

InForceNow in_force(const Enforcer &enforcer) {
    InForceNow now{
        enforcer.policies(), enforcer.gate_root(), enforcer.birth_rules(), {}, enforcer.environment(), {}};
    now.cgroups.reserve(enforcer.tree().nodes().size());
    for (const auto &[path, node] : enforcer.tree().nodes()) {
        const auto known = enforcer.containers().find(node.id);
        now.cgroups.emplace_back(path, known != enforcer.containers().end() ? known->second.policies
                                                                            : std::vector<std::string>());
    }
    return now;
}

ApiAnswer judge_text(const policy::Source &source, const InForceNow *now) {
    const std::vector<policy::Source> one(1, source);
    const auto loaded = policy::load(one);
    if (loaded.policies.size() > most_documents)
        return error_answer(413, "the text holds " + std::to_string(loaded.policies.size()) +
                                     " policies: at most " + std::to_string(most_documents) +
                                     " are judged at once");
    if (!now)
        return json_answer(check_json(loaded));
    if (!policy::has_errors(loaded.diagnostics))
        return diff_answer(loaded, *now);
    ChangeOutcome refused;
    refused.status = 422;
    refused.error = "policy refused";
    refused.diagnostics = loaded.diagnostics;
    return change_answer(refused, 0, false);
}

} // namespace penstock::daemon
