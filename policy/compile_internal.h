// SPDX-License-Identifier: Apache-2.0
// The parts of the compiler, for policy/compile*.cpp and rule_set.cpp only.
//
// All rules of the selected policies stand in one order of precedence: denies by (policy name, position), then
// allows likewise. So a set of rules is a sorted list of numbers, and the rule that decides is the lowest.
// Lists are interned: a hundred thousand names of one rule share one list, and its ports are compiled once.
#pragma once

#include "policy/compile.h"

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

namespace penstock::policy::detail {

using RuleNumber = std::uint32_t; // place in the order of precedence
using RuleList = std::uint32_t;   // an interned, sorted, unique list of rule numbers; 0 is the empty one

struct OrderedRule {
    const Rule *rule = nullptr;
    std::uint64_t id = 0;
    bool allow = false;
    bool learn_private = false;
};
using OrderedRules = std::vector<OrderedRule>;

class RuleLists {
  public:
    RuleLists();
    RuleList intern(std::vector<RuleNumber>); // sorts and removes repeats
    RuleList unite(RuleList, RuleList);
    const std::vector<RuleNumber> &operator[](RuleList list) const { return *lists_[list]; }

  private:
    std::map<std::vector<RuleNumber>, RuleList> ids_;
    std::vector<const std::vector<RuleNumber> *> lists_; // into the map's stable nodes
    std::unordered_map<std::uint64_t, RuleList> unions_; // both lists in one number
};

// What a list of rules means to the kernel. Collects the rule sets that are named.
class Matches {
  public:
    Matches(const OrderedRules &rules, const RuleLists &lists) : rules_(rules), lists_(lists) {}
    const abi::ps_match &of_name(RuleList);
    const abi::ps_match &of_address(RuleList);
    std::map<std::uint64_t, std::vector<PortEntry>> take_rule_sets() { return std::move(rule_sets_); }

  private:
    abi::ps_match decide(RuleList);
    std::uint64_t rule_set(const std::vector<RuleNumber> &);

    const OrderedRules &rules_;
    const RuleLists &lists_;
    std::unordered_map<RuleList, abi::ps_match> names_, addresses_;
    std::map<std::uint64_t, std::vector<PortEntry>> rule_sets_;
};

// Which rule decides for each protocol and port; `rules` is sorted by precedence.
std::vector<PortEntry> compile_ports(const OrderedRules &, const std::vector<RuleNumber> &rules);

std::vector<NameEntry> compile_names(const OrderedRules &, const std::vector<std::string> &search,
                                     RuleLists &, Matches &);
std::vector<CidrEntry> compile_cidrs(const OrderedRules &, RuleLists &, Matches &);

// Gives the image its limits, and settings.limited.
void compile_limits(const std::vector<const Policy *> &, const OrderedRules &, Image &);

bool same_match(const abi::ps_match &, const abi::ps_match &);

// One key of a prefix trie and the rules its patterns name.
template <class Key> struct Prefix {
    Key key;
    RuleNumber rule;
};
template <class Key> struct MergedPrefix {
    Key key;
    abi::ps_match match;
};

// Merges into every key the rules of all keys that cover it, so that one longest-prefix look-up is exact, and
// leaves out keys that say what their cover says. `prefixes` is sorted so that a key stands before all it
// covers and these stand together: the covers of the key at hand are then a stack.
template <class Key, class Covers, class Match>
std::vector<MergedPrefix<Key>> merge_prefixes(const std::vector<Prefix<Key>> &prefixes, RuleLists &lists,
                                              Covers covers, Match match) {
    struct Cover {
        std::size_t first; // of the equal keys in `prefixes`
        RuleList rules;
    };
    std::vector<MergedPrefix<Key>> merged;
    std::vector<Cover> stack;
    std::vector<RuleNumber> own;
    for (std::size_t i = 0; i < prefixes.size();) {
        const std::size_t first = i;
        own.clear();
        for (; i < prefixes.size() && prefixes[i].key == prefixes[first].key; ++i)
            own.push_back(prefixes[i].rule);
        while (!stack.empty() && !covers(prefixes[stack.back().first].key, prefixes[first].key))
            stack.pop_back();
        const RuleList above = stack.empty() ? 0 : stack.back().rules;
        const RuleList rules = lists.unite(above, lists.intern(own));
        if (stack.empty() || (rules != above && !same_match(match(rules), match(above))))
            merged.push_back({prefixes[first].key, match(rules)});
        stack.push_back({first, rules});
    }
    return merged;
}

} // namespace penstock::policy::detail
