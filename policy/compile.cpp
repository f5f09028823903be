// SPDX-License-Identifier: Apache-2.0
// Policies to an image: unites the settings, orders the rules, hashes the whole. Names, addresses and ports are
// compiled next door.
#include "policy/compile.h"
#include "policy/compile_internal.h"
#include "policy/digest.h"

#include <algorithm>

namespace penstock::policy {

namespace {

using Policies = std::vector<const Policy *>;

template <class T> void sort_unique(std::vector<T> &values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
}

abi::ps_policy unite_settings(const Policies &policies) {
    abi::ps_policy settings{};
    settings.mode = abi::PS_MODE_AUDIT;
    settings.inbound = settings.loopback = abi::PS_ALLOW;
    settings.default_reason = abi::PS_R_NO_RULE;
    for (const auto *policy : policies) {
        if (policy->mode == Mode::enforce)
            settings.mode = abi::PS_MODE_ENFORCE;
        if (!policy->inbound_allowed)
            settings.inbound = abi::PS_DENY;
        if (!policy->loopback_allowed)
            settings.loopback = abi::PS_DENY;
        if (policy->logs_flows)
            settings.flows = 1;
        if (policy->dns.resolvers_any)
            settings.resolvers_any = 1;
        settings.min_ttl_s = std::max(settings.min_ttl_s, policy->dns.min_ttl_s);
    }
    return settings;
}

std::vector<Address> unite_resolvers(const Policies &policies, const Environment &environment) {
    std::vector<Address> resolvers;
    for (const auto *policy : policies) {
        if (policy->dns.resolvers_any && !policy->dns.resolvers)
            continue;
        const auto &own = policy->dns.resolvers ? *policy->dns.resolvers : environment.resolvers;
        resolvers.insert(resolvers.end(), own.begin(), own.end());
    }
    sort_unique(resolvers);
    return resolvers;
}

std::vector<std::string> unite_search(const Policies &policies, const Environment &environment) {
    std::vector<std::string> search;
    for (const auto *policy : policies) {
        const auto &own = policy->dns.search ? *policy->dns.search : environment.search;
        search.insert(search.end(), own.begin(), own.end());
    }
    sort_unique(search);
    return search;
}

detail::OrderedRules order_rules(const Policies &policies) {
    detail::OrderedRules rules;
    for (const auto *policy : policies)
        for (const auto &rule : policy->deny)
            rules.push_back({&rule, rule_id(policy->name, rule.name), false, false});
    for (const auto *policy : policies)
        for (const auto &rule : policy->allow)
            rules.push_back({&rule, rule_id(policy->name, rule.name), true,
                             rule.learn_private.value_or(policy->dns.learn_private)});
    return rules;
}

std::map<std::uint64_t, RuleInfo> describe_rules(const Policies &policies) {
    std::map<std::uint64_t, RuleInfo> described;
    for (const auto *policy : policies) {
        for (const auto &rule : policy->deny)
            described[rule_id(policy->name, rule.name)] = {policy->name, rule.name, false};
        for (const auto &rule : policy->allow)
            described[rule_id(policy->name, rule.name)] = {policy->name, rule.name, true};
    }
    return described;
}

void add_match(Digest &digest, const abi::ps_match &match) {
    digest.number(match.rule_set).number(match.private_set).number(match.rule).number(match.verdict);
}

void add_limits(Digest &digest, const std::map<std::uint64_t, abi::ps_limits> &all) {
    digest.number(all.size());
    for (const auto &[rule, limits] : all) {
        digest.number(rule)
            .number(limits.quota_bytes)
            .number(limits.window_ns)
            .number(limits.quota_directions);
        for (const auto &rate : limits.rates)
            digest.number(rate.cost).number(rate.burst_ns).number(rate.shift);
    }
}

// Over all that the kernel is given and all that people are shown of it, the generation excepted.
std::uint64_t content_hash(const Image &image) {
    Digest digest;
    const auto &settings = image.settings;
    digest.number(abi::PS_ABI_VERSION)
        .number(settings.min_ttl_s)
        .number(settings.mode)
        .number(settings.inbound);
    digest.number(settings.loopback)
        .number(settings.resolvers_any)
        .number(settings.default_reason)
        .number(settings.flows);
    digest.number(image.resolvers.size());
    for (const auto &resolver : image.resolvers)
        digest.raw(resolver.octets.data(), resolver.octets.size());
    digest.number(image.names.size());
    for (const auto &entry : image.names)
        add_match(digest.text(entry.reversed), entry.match);
    digest.number(image.cidrs.size());
    for (const auto &entry : image.cidrs)
        add_match(digest.raw(entry.cidr.address.octets.data(), 16).number(entry.cidr.length), entry.match);
    digest.number(image.rule_sets.size()); // their ids are hashes of their content
    for (const auto &[id, entries] : image.rule_sets)
        digest.number(id);
    add_limits(digest, image.limits);
    digest.number(image.rules.size());
    for (const auto &[id, info] : image.rules)
        digest.number(id).text(info.policy).text(info.rule).number(info.allow);
    digest.number(image.policies.size());
    for (const auto &name : image.policies)
        digest.text(name);
    return digest.finish();
}

} // namespace

std::uint64_t rule_id(std::string_view policy, std::string_view rule) {
    return Digest().text(policy).text(rule).finish();
}

Image compile(const std::vector<const Policy *> &selected, const Environment &environment) {
    Policies policies = selected;
    const auto by_name = [](const auto *a, const auto *b) { return a->name < b->name; };
    std::sort(policies.begin(), policies.end(), by_name);

    const auto rules = order_rules(policies);
    detail::RuleLists lists;
    detail::Matches matches(rules, lists);
    Image image;
    image.settings = unite_settings(policies);
    image.resolvers = unite_resolvers(policies, environment);
    image.names = detail::compile_names(rules, unite_search(policies, environment), lists, matches);
    image.cidrs = detail::compile_cidrs(rules, lists, matches);
    image.rule_sets = matches.take_rule_sets();
    detail::compile_limits(policies, rules, image);
    image.rules = describe_rules(policies);
    for (const auto *policy : policies)
        image.policies.push_back(policy->name);
    image.settings.content_hash = content_hash(image);
    return image;
}

} // namespace penstock::policy
