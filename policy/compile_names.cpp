// SPDX-License-Identifier: Apache-2.0
// Domain patterns to keys of the names trie (form: bpf/policy_row.h, ps_name_key), search suffixes included.
#include "policy/compile_internal.h"

#include <algorithm>

namespace penstock::policy::detail {

namespace {

using NamePrefix = Prefix<std::string>;

// A key is a prefix of what it covers: exact keys end in NUL, which no name holds, so they cover themselves.
std::string name_key(const NamePattern &pattern, std::string_view suffix) {
    std::string key;
    if (pattern.kind == NamePattern::Kind::every)
        return key;
    key.reserve(pattern.name.size() + suffix.size() + 2);
    if (!suffix.empty())
        key.append(suffix.rbegin(), suffix.rend()) += '.';
    key.append(pattern.name.rbegin(), pattern.name.rend());
    key += pattern.kind == NamePattern::Kind::exact ? '\0' : '.';
    return key;
}

void add_pattern(std::vector<NamePrefix> &keys, const NamePattern &pattern, RuleNumber rule,
                 const std::vector<std::string> &search) {
    keys.push_back({name_key(pattern, {}), rule});
    if (pattern.kind == NamePattern::Kind::every)
        return;
    for (const auto &suffix : search)
        if (!suffix.empty() && pattern.name.size() + 1 + suffix.size() <= abi::PS_NAME_MAX)
            keys.push_back({name_key(pattern, suffix), rule});
}

} // namespace

std::vector<NameEntry> compile_names(const OrderedRules &rules, const std::vector<std::string> &search,
                                     RuleLists &lists, Matches &matches) {
    std::vector<NamePrefix> keys;
    for (RuleNumber number = 0; number < rules.size(); ++number)
        for (const auto &pattern : rules[number].rule->domains)
            add_pattern(keys, pattern, number, search);
    std::sort(keys.begin(), keys.end(), [](const auto &a, const auto &b) {
        const int order = a.key.compare(b.key);
        return order < 0 || (order == 0 && a.rule < b.rule);
    });
    auto merged = merge_prefixes(
        keys, lists, [](const std::string &cover, const std::string &key) { return key.starts_with(cover); },
        [&](RuleList list) -> const abi::ps_match & { return matches.of_name(list); });

    std::stable_sort(merged.begin(), merged.end(),
                     [](const auto &a, const auto &b) { return a.key.size() > b.key.size(); });
    std::vector<NameEntry> entries;
    entries.reserve(merged.size());
    for (auto &prefix : merged)
        entries.push_back({std::move(prefix.key), prefix.match});
    return entries;
}

} // namespace penstock::policy::detail
