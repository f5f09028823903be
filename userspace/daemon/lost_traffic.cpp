// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lost_traffic.h"

#include "policy/explain.h"
#include "userspace/container/selection.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <map>
#include <utility>

namespace penstock::daemon {
namespace {

using Policies = std::vector<policy::Policy>;

// As an apply would leave it.
Policies after(const LostTrafficInput &input) {
    Policies all = input.wanted;
    for (const auto &policy : input.in_force)
        if (std::none_of(input.wanted.begin(), input.wanted.end(),
                         [&](const auto &wanted) { return wanted.name == policy.name; }))
            all.push_back(policy);
    return all;
}

const policy::Rule *rule_of(const Policies &policies, const telemetry::CounterRow &row) {
    for (const auto &policy : policies)
        if (policy.name == row.policy)
            for (const auto &rule : policy.allow)
                if (rule.name == row.rule)
                    return &rule;
    return nullptr;
}

// A public address stands for those that the name has.
policy::Flow flow_to(const std::string &domain, policy::Protocol protocol, std::uint16_t port) {
    static const auto address = *policy::Address::parse("203.0.113.1");
    policy::Flow flow;
    flow.remote = address;
    flow.protocol = protocol == policy::Protocol::tcp ? 6 : protocol == policy::Protocol::udp ? 17 : 1;
    flow.port = port;
    flow.learned.push_back({domain, false});
    return flow;
}

// The reason why the name is lost; empty: it is not for certain.
std::string why_lost(const policy::Image &image, const std::string &domain, const policy::Rule *rule) {
    policy::Question question;
    question.name = domain;
    if (!image.resolvers.empty())
        question.resolver = image.resolvers.front();
    const auto asked = policy::explain(image, question);
    if (asked.verdict != abi::PS_ALLOW)
        return telemetry::reason_name(asked.reason);
    if (!rule || rule->ports.empty())
        return {};
    std::string why;
    for (const auto &range : rule->ports) {
        if (range.first != range.last)
            return {}; // which of them were used is not known
        const auto sent = policy::explain(image, flow_to(domain, range.protocol, range.first));
        if (sent.verdict == abi::PS_ALLOW)
            return {};
        why = telemetry::reason_name(sent.reason);
    }
    return why;
}

} // namespace

std::vector<LostTraffic> lost_traffic(const LostTrafficInput &input) {
    const auto policies = after(input);
    const container::Selection selection(policies, input.gate_root, {});
    std::map<std::vector<std::size_t>, policy::Image> images;
    std::map<std::string, std::vector<std::size_t>> selecting; // by container
    std::vector<LostTraffic> lost;
    for (const auto &row : input.counters) {
        const bool named = !row.domain.empty() && row.domain != telemetry::other_domains;
        if (!named || row.container.empty() || row.direction != abi::PS_EGRESS ||
            row.verdict != abi::PS_ALLOW)
            continue;
        const auto [place, fresh] = selecting.try_emplace(row.container);
        if (fresh)
            place->second = selection.standing(row.container).policies;
        const auto &set = place->second;
        const bool touched =
            std::any_of(set.begin(), set.end(), [&](auto index) { return index < input.wanted.size(); }) ||
            std::any_of(input.wanted.begin(), input.wanted.end(),
                        [&](const auto &wanted) { return wanted.name == row.policy; });
        if (!touched || set.empty())
            continue;
        auto image = images.find(set);
        if (image == images.end()) {
            std::vector<const policy::Policy *> selected;
            for (const auto index : set)
                selected.push_back(&policies[index]);
            image = images.emplace(set, policy::compile(selected, input.environment)).first;
        }
        if (auto why = why_lost(image->second, row.domain, rule_of(input.in_force, row)); !why.empty())
            lost.push_back({row, std::move(why)});
    }
    return lost;
}

} // namespace penstock::daemon
