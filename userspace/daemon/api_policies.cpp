// SPDX-License-Identifier: Apache-2.0
// Policies as JSON, and as the sorted values that a diff compares.
#include "userspace/daemon/api_answers.h"

#include "policy/limit_text.h"
#include "policy/network.h"
#include "userspace/telemetry/names.h"

#include <algorithm>

namespace penstock::daemon {
namespace json = boost::json;
using telemetry::utf8_text;
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

void add_limits(Values &values, const std::string &prefix, const policy::Limits &limits) {
    using policy::Quantity;
    const auto add = [&](const char *name, const std::optional<policy::Rate> &rate, Quantity quantity) {
        if (rate)
            values.emplace_back(prefix + name, policy::rate_text(*rate, quantity));
    };
    add("limits.egress", limits.egress, Quantity::octets);
    add("limits.ingress", limits.ingress, Quantity::octets);
    add("limits.connections", limits.connections, Quantity::count);
    add("limits.packets", limits.packets, Quantity::packets);
    add("limits.queries", limits.queries, Quantity::count);
    if (limits.quota)
        values.emplace_back(prefix + "limits.quota", policy::quota_text(*limits.quota));
}

void add_rules(Values &values, const std::string &list, const std::vector<policy::Rule> &rules) {
    for (const auto &rule : rules) {
        const std::string prefix = "spec." + list + "[" + rule.name + "].";
        values.emplace_back(prefix + "name", rule.name);
        for (const auto &domain : rule.domains)
            values.emplace_back(prefix + "domains", domain.text());
        for (const auto &cidr : rule.cidrs)
            values.emplace_back(prefix + "cidrs", cidr.text());
        for (const auto &port : rule.ports)
            values.emplace_back(prefix + "ports", policy::port_text(port));
        if (rule.learn_private)
            values.emplace_back(prefix + "private", *rule.learn_private ? "allow" : "deny");
        add_limits(values, prefix, rule.limits);
    }
}

std::string selector_text(const policy::Selector &selector) {
    std::string text;
    const auto add = [&](const std::string &name, const std::string &value) {
        text += (text.empty() ? "" : ", ") + name + ": " + value;
    };
    const std::pair<const char *, const std::optional<std::string> &> fields[] = {
        {"cgroup", selector.cgroup}, {"runtime", selector.runtime}, {"name", selector.name},
        {"image", selector.image},   {"namespace", selector.ns},    {"pod", selector.pod},
        {"unit", selector.unit},
    };
    for (const auto &[name, value] : fields)
        if (value)
            add(name, *value);
    for (const auto &[key, value] : selector.labels)
        add("labels." + key, value);
    return "{" + text + "}";
}

} // namespace

json::object rule_json(const policy::Policy &policy, const policy::Rule &rule, std::string_view action) {
    json::array domains, cidrs, ports;
    for (const auto &domain : rule.domains)
        domains.push_back(json::string(domain.text()));
    for (const auto &cidr : rule.cidrs)
        cidrs.push_back(json::string(cidr.text()));
    for (const auto &port : rule.ports)
        ports.push_back(json::string(policy::port_text(port)));
    return {{"name", utf8_text(rule.name)},
            {"action", action},
            {"id", telemetry::hex_id(policy::rule_id(policy.name, rule.name))},
            {"domains", std::move(domains)},
            {"cidrs", std::move(cidrs)},
            {"ports", std::move(ports)}};
}

Values policy_values(const policy::Policy &policy) {
    Values values;
    for (const auto &selector : policy.select)
        values.emplace_back("spec.select", selector_text(selector));
    values.emplace_back("spec.mode", policy.mode == policy::Mode::audit ? "audit" : "enforce");
    const auto &dns = policy.dns;
    if (dns.resolvers_any)
        values.emplace_back("spec.dns.resolvers", "any");
    if (dns.resolvers)
        for (const auto &resolver : *dns.resolvers)
            values.emplace_back("spec.dns.resolvers", resolver.text());
    if (dns.search)
        for (const auto &suffix : *dns.search)
            values.emplace_back("spec.dns.search", suffix);
    if (dns.queries)
        values.emplace_back("spec.dns.queries", policy::rate_text(*dns.queries, policy::Quantity::count));
    values.emplace_back("spec.dns.minTTL", std::to_string(dns.min_ttl_s) + "s");
    values.emplace_back("spec.dns.private", dns.learn_private ? "allow" : "deny");
    add_rules(values, "allow", policy.allow);
    add_rules(values, "deny", policy.deny);
    add_limits(values, "spec.", policy.limits);
    values.emplace_back("spec.inbound", policy.inbound_allowed ? "allow" : "deny");
    values.emplace_back("spec.loopback", policy.loopback_allowed ? "allow" : "deny");
    values.emplace_back("spec.flows", policy.logs_flows ? "on" : "off");
    std::sort(values.begin(), values.end());
    return values;
}

json::object policy_json(const PolicySet &set, std::size_t index, const Enforcer &enforcer) {
    const auto &policy = set.policies[index];
    const auto &stored = set.sources[set.source_of[index]];
    std::uint64_t domains = 0, cidrs = 0;
    for (const auto *rules : {&policy.allow, &policy.deny})
        for (const auto &rule : *rules) {
            domains += rule.domains.size();
            cidrs += rule.cidrs.size();
        }
    std::vector<std::string> containers;
    for (const auto &[id, container] : enforcer.containers())
        if (!container.removed && std::find(container.policies.begin(), container.policies.end(),
                                            policy.name) != container.policies.end())
            containers.push_back(container.node.path);
    std::sort(containers.begin(), containers.end());
    return {{"name", policy.name},
            {"source", utf8_text(stored.source.file)},
            {"applied", stored.applied},
            {"mode", policy.mode == policy::Mode::audit ? "audit" : "enforce"},
            {"allow", policy.allow.size()},
            {"deny", policy.deny.size()},
            {"domains", domains},
            {"cidrs", cidrs},
            {"containers", strings_json(containers)}};
}

json::object policy_detail_json(const PolicySet &set, std::size_t index, const Enforcer &enforcer) {
    auto object = policy_json(set, index, enforcer);
    const auto &policy = set.policies[index];
    const auto &source = set.sources[set.source_of[index]].source;
    const bool binary = source.format == policy::Format::protobuf;
    object["format"] = binary ? "protobuf" : source.format == policy::Format::json ? "json" : "yaml";
    object["text"] = binary ? std::string() : utf8_text(source.text);
    json::array rules;
    for (const auto &rule : policy.allow)
        rules.push_back(rule_json(policy, rule, "allow"));
    for (const auto &rule : policy.deny)
        rules.push_back(rule_json(policy, rule, "deny"));
    object["rules"] = std::move(rules);
    return object;
}

} // namespace penstock::daemon
