// SPDX-License-Identifier: Apache-2.0
// Names of a draft: folded into wildcards, and thinned out until each is needed.
#include "policy/suggest_draft.h"

#include <algorithm>

namespace penstock::policy::detail {
namespace {

// "b.c" of "a.b.c"; none if that would be a top-level domain or less.
std::optional<std::string> parent_of(const std::string &name) {
    const auto dot = name.find('.');
    if (dot == name.npos || name.find('.', dot + 1) == name.npos)
        return std::nullopt;
    return name.substr(dot + 1);
}

void add_patterns(const std::string &name, std::vector<NamePattern> &all) {
    all.push_back({NamePattern::Kind::exact, name});
    for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1))
        all.push_back({NamePattern::Kind::below, name.substr(dot + 1)});
}

// Every pattern that allows the name, by itself or with a suffix appended.
std::vector<NamePattern> patterns_of(const std::string &name, const std::vector<std::string> &search) {
    std::vector<NamePattern> all;
    add_patterns(name, all);
    for (const auto &suffix : search)
        if (name.size() > suffix.size() + 1 && name.ends_with("." + suffix))
            add_patterns(name.substr(0, name.size() - suffix.size() - 1), all);
    return all;
}

struct Entry {
    const NamePattern *pattern;
    const NameNeed *need;
    std::vector<std::size_t> covers{}; // items
};

} // namespace

void fold_names(Draft &draft, std::size_t at_least) {
    std::map<std::string, std::vector<NamePattern>> below;
    for (const auto &[pattern, need] : draft.names)
        if (const auto parent = parent_of(pattern.name);
            parent && pattern.kind == NamePattern::Kind::exact && !pattern.name.ends_with(".arpa"))
            below[*parent].push_back(pattern);
    for (const auto &[parent, patterns] : below) {
        if (patterns.size() < at_least)
            continue;
        NameNeed all;
        std::set<PortRange> guesses; // a port that was seen beats them
        for (const auto &pattern : patterns) {
            const auto found = draft.names.find(pattern);
            const auto &need = found->second;
            (need.guessed ? guesses : all.ports).insert(need.ports.begin(), need.ports.end());
            all.is_private = all.is_private || need.is_private;
            all.asked += need.asked;
            all.reached += need.reached;
            all.folded.insert(pattern.name);
            draft.names.erase(found);
        }
        all.guessed = all.ports.empty();
        if (all.guessed)
            all.ports = std::move(guesses);
        draft.names[{NamePattern::Kind::below, parent}] = std::move(all);
    }
}

void drop_needless(Draft &draft, const std::vector<Item> &items, const std::vector<std::string> &search) {
    std::map<NamePattern, std::size_t> place;
    std::vector<Entry> entries;
    for (const auto &[pattern, need] : draft.names) {
        place[pattern] = entries.size();
        entries.push_back({&pattern, &need});
    }
    std::vector<std::size_t> ways(items.size(), 0); // entries that allow it
    for (std::size_t i = 0; i < items.size(); ++i) {
        std::set<std::size_t> allow;
        for (const auto &name : items[i].names)
            for (const auto &pattern : patterns_of(name, search)) {
                const auto found = place.find(pattern);
                if (found == place.end())
                    continue;
                const auto &need = *entries[found->second].need;
                const bool port = !items[i].port || need.ports.contains(*items[i].port);
                if (port && (need.is_private || !items[i].is_private))
                    allow.insert(found->second);
            }
        ways[i] = allow.size();
        for (const auto entry : allow)
            entries[entry].covers.push_back(i);
    }
    // Names before wildcards, long ones first: what another covers goes before what covers it.
    std::stable_sort(entries.begin(), entries.end(), [](const Entry &a, const Entry &b) {
        return a.pattern->kind != b.pattern->kind ? a.pattern->kind < b.pattern->kind
                                                  : a.pattern->name.size() > b.pattern->name.size();
    });
    std::vector<NamePattern> needless;
    for (const auto &entry : entries) {
        if (std::any_of(entry.covers.begin(), entry.covers.end(), [&](auto i) { return ways[i] < 2; }))
            continue;
        for (const auto i : entry.covers)
            --ways[i];
        needless.push_back(*entry.pattern);
    }
    for (const auto &pattern : needless)
        draft.names.erase(pattern);
}

std::vector<PortRange> ranges_of(const std::set<PortRange> &ports) {
    std::vector<PortRange> ranges;
    for (const auto &port : ports)
        if (!ranges.empty() && ranges.back().protocol == port.protocol && port.protocol != Protocol::icmp &&
            ranges.back().last + 1 == port.first)
            ranges.back().last = port.last;
        else
            ranges.push_back(port);
    return ranges;
}

} // namespace penstock::policy::detail
