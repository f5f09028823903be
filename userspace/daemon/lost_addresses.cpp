// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lost_addresses.h"

#include "userspace/telemetry/names.h"

#include <algorithm>

namespace penstock::daemon {
namespace {

using policy::Cidr;
using policy::PortRange;
using policy::Rule;

constexpr std::size_t most_pairs = 1'000'000; // of CIDRs: more take too long

std::vector<PortRange> ports_of(const Rule &rule) {
    if (!rule.ports.empty())
        return rule.ports;
    return {{policy::Protocol::tcp, 0, 65535}, {policy::Protocol::udp, 0, 65535}};
}

bool overlap(const Cidr &a, const Cidr &b) {
    return a.contains(b.address) || b.contains(a.address);
}

bool overlap(const PortRange &a, const PortRange &b) {
    return a.protocol == b.protocol && a.first <= b.last && b.first <= a.last;
}

bool covers(const Cidr &outer, const Cidr &inner) {
    return outer.length <= inner.length && outer.contains(inner.address);
}

bool covers(const PortRange &outer, const PortRange &inner) {
    return outer.protocol == inner.protocol && outer.first <= inner.first && inner.last <= outer.last;
}

// Does one of the rules' pairs of CIDR and ports do this with the pair?
template <class With>
bool any(const std::vector<const Rule *> &rules, const Cidr &cidr, const PortRange &ports, With with) {
    return std::any_of(rules.begin(), rules.end(), [&](const Rule *rule) {
        const auto theirs = ports_of(*rule);
        return std::any_of(theirs.begin(), theirs.end(),
                           [&](const auto &range) { return with(range, ports); }) &&
               std::any_of(rule->cidrs.begin(), rule->cidrs.end(),
                           [&](const auto &other) { return with(other, cidr); });
    });
}

std::vector<const Rule *> with_cidrs(const std::vector<const policy::Policy *> &policies,
                                     std::vector<Rule> policy::Policy::*list) {
    std::vector<const Rule *> rules;
    for (const auto *policy : policies)
        for (const auto &rule : policy->*list)
            if (!rule.cidrs.empty())
                rules.push_back(&rule);
    return rules;
}

std::size_t count_of_cidrs(const std::vector<const Rule *> &rules) {
    std::size_t count = 0;
    for (const auto *rule : rules)
        count += rule->cidrs.size() + 1;
    return count;
}

} // namespace

std::string why_addresses_lost(const std::vector<const policy::Policy *> &afterwards, const Rule &rule) {
    const auto allow = with_cidrs(afterwards, &policy::Policy::allow),
               deny = with_cidrs(afterwards, &policy::Policy::deny);
    const auto ports = ports_of(rule);
    if (rule.cidrs.size() * ports.size() * (count_of_cidrs(allow) + count_of_cidrs(deny)) > most_pairs)
        return {};
    bool denied = !rule.cidrs.empty();
    for (const auto &cidr : rule.cidrs)
        for (const auto &range : ports) {
            const bool by_rule = any(
                deny, cidr, range, [](const auto &theirs, const auto &ours) { return covers(theirs, ours); });
            if (!by_rule && any(allow, cidr, range,
                                [](const auto &theirs, const auto &ours) { return overlap(theirs, ours); }))
                return {};
            denied = denied && by_rule;
        }
    return telemetry::reason_name(denied ? abi::PS_R_DENY_RULE : abi::PS_R_NO_RULE);
}

} // namespace penstock::daemon
