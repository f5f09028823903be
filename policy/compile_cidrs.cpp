// SPDX-License-Identifier: Apache-2.0
// CIDRs of all rules to keys of the address tries, one for each family.
#include "policy/compile_internal.h"

#include <algorithm>
#include <tuple>

namespace penstock::policy::detail {

std::vector<CidrEntry> compile_cidrs(const OrderedRules &rules, RuleLists &lists, Matches &matches) {
    std::vector<Prefix<Cidr>> keys;
    for (RuleNumber number = 0; number < rules.size(); ++number)
        for (const auto &cidr : rules[number].rule->cidrs)
            keys.push_back({cidr, number});
    // By family first: v6 prefixes whose octets enclose ::ffff:0:0/96 must not stand between v4 keys. Within a
    // family address, then length, is the order in which a cover stands directly before what it covers.
    std::sort(keys.begin(), keys.end(), [](const auto &a, const auto &b) {
        return std::tuple(a.key.address.is_v4(), a.key, a.rule) <
               std::tuple(b.key.address.is_v4(), b.key, b.rule);
    });
    auto merged = merge_prefixes(
        keys, lists,
        [](const Cidr &cover, const Cidr &key) {
            return cover.length <= key.length && cover.contains(key.address);
        },
        [&](RuleList list) -> const abi::ps_match & { return matches.of_address(list); });

    std::stable_sort(merged.begin(), merged.end(),
                     [](const auto &a, const auto &b) { return a.key.length > b.key.length; });
    std::vector<CidrEntry> entries;
    entries.reserve(merged.size());
    for (const auto &prefix : merged)
        entries.push_back({prefix.key, prefix.match});
    return entries;
}

} // namespace penstock::policy::detail
