// SPDX-License-Identifier: Apache-2.0
// Lists of rules, and what one means to the kernel: which rule decides for each protocol and port, and the
// verdict of a query or an address as a whole.
#include "policy/compile_internal.h"
#include "policy/digest.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>

namespace penstock::policy::detail {

namespace {

constexpr std::uint8_t ip_icmp = 1, ip_tcp = 6, ip_udp = 17, ip_icmp6 = 58;

struct PortEdge {
    std::uint32_t port;
    RuleNumber rule;
    bool opens;
};

void add_edges(std::vector<PortEdge> &edges, const Rule &rule, RuleNumber number, Protocol protocol) {
    const auto add = [&](std::uint32_t first, std::uint32_t last) {
        edges.push_back({first, number, true});
        edges.push_back({last + 1, number, false});
    };
    if (rule.ports.empty() && protocol != Protocol::icmp)
        add(0, 65535);
    for (const auto &range : rule.ports)
        if (range.protocol == protocol)
            add(range.first, range.last);
}

// Writes [first, end) as the fewest aligned blocks, each one prefix of the trie.
void add_range(std::vector<PortEntry> &entries, std::uint8_t protocol, std::uint32_t first, std::uint32_t end,
               const abi::ps_port_rule &rule) {
    while (first < end) {
        std::uint32_t size = 1;
        std::uint8_t bits = 16;
        while (bits > 0 && first % (size * 2) == 0 && first + size * 2 <= end) {
            size *= 2;
            --bits;
        }
        entries.push_back({protocol, static_cast<std::uint16_t>(first), bits, rule});
        first += size;
    }
}

abi::ps_port_rule port_rule(const OrderedRule &rule) {
    abi::ps_port_rule value{};
    value.rule = rule.id;
    value.verdict = rule.allow ? abi::PS_ALLOW : abi::PS_DENY;
    return value;
}

// Sweeps over the ports with the rules that are open at each; the lowest number decides.
void sweep(std::vector<PortEntry> &entries, const OrderedRules &rules, const std::vector<RuleNumber> &list,
           Protocol protocol, std::uint8_t number) {
    std::vector<PortEdge> edges;
    for (const auto rule : list)
        add_edges(edges, *rules[rule].rule, rule, protocol);
    std::sort(edges.begin(), edges.end(), [](const auto &a, const auto &b) { return a.port < b.port; });

    std::multiset<RuleNumber> open;
    std::uint32_t start = 0; // of the stretch that `winner` decides
    std::optional<RuleNumber> winner;
    for (std::size_t i = 0; i < edges.size();) {
        const auto port = edges[i].port;
        for (; i < edges.size() && edges[i].port == port; ++i) {
            if (edges[i].opens)
                open.insert(edges[i].rule);
            else
                open.erase(open.find(edges[i].rule));
        }
        const auto next = open.empty() ? std::nullopt : std::optional(*open.begin());
        if (next == winner)
            continue;
        if (winner)
            add_range(entries, number, start, port, port_rule(rules[*winner]));
        start = port;
        winner = next;
    }
}

// Without ports, a deny rule denies all, an allow rule opens TCP and UDP only.
void add_icmp(std::vector<PortEntry> &entries, const OrderedRules &rules,
              const std::vector<RuleNumber> &list) {
    const auto names_icmp = [&](RuleNumber number) {
        const auto &ports = rules[number].rule->ports;
        if (ports.empty())
            return !rules[number].allow;
        return std::any_of(ports.begin(), ports.end(),
                           [](const auto &p) { return p.protocol == Protocol::icmp; });
    };
    const auto first = std::find_if(list.begin(), list.end(), names_icmp);
    if (first == list.end())
        return;
    for (const auto protocol : {ip_icmp, ip_icmp6})
        entries.push_back({protocol, 0, 0, port_rule(rules[*first])});
}

} // namespace

RuleLists::RuleLists() {
    intern({});
}

RuleList RuleLists::intern(std::vector<RuleNumber> list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    const auto [place, added] = ids_.try_emplace(std::move(list), static_cast<RuleList>(lists_.size()));
    if (added)
        lists_.push_back(&place->first);
    return place->second;
}

RuleList RuleLists::unite(RuleList a, RuleList b) {
    if (a == 0 || a == b)
        return b;
    const auto [place, added] = unions_.try_emplace(std::uint64_t{a} << 32 | b, 0);
    if (added) {
        std::vector<RuleNumber> both;
        std::set_union((*this)[a].begin(), (*this)[a].end(), (*this)[b].begin(), (*this)[b].end(),
                       std::back_inserter(both));
        place->second = intern(std::move(both));
    }
    return place->second;
}

std::vector<PortEntry> compile_ports(const OrderedRules &rules, const std::vector<RuleNumber> &list) {
    std::vector<PortEntry> entries;
    sweep(entries, rules, list, Protocol::tcp, ip_tcp);
    sweep(entries, rules, list, Protocol::udp, ip_udp);
    add_icmp(entries, rules, list);
    return entries;
}

// The id is of the compiled ports, so that rules which never decide make no new set.
std::uint64_t Matches::rule_set(const std::vector<RuleNumber> &list) {
    auto entries = compile_ports(rules_, list);
    if (entries.empty())
        return 0;
    Digest digest;
    for (const auto &entry : entries)
        digest.number(entry.protocol)
            .number(entry.port)
            .number(entry.prefix_bits)
            .number(entry.rule.rule)
            .number(entry.rule.verdict);
    const auto id = digest.finish();
    rule_sets_.try_emplace(id, std::move(entries));
    return id;
}

// The verdict as a whole: a deny rule with `ports` leaves other ports, so it decides nothing here.
abi::ps_match Matches::decide(RuleList list) {
    abi::ps_match match{};
    match.rule_set = rule_set(lists_[list]);
    for (const auto number : lists_[list]) {
        const auto &rule = rules_[number];
        if (!rule.allow && !rule.rule->ports.empty())
            continue;
        match.rule = rule.id;
        match.verdict = rule.allow ? abi::PS_ALLOW : abi::PS_DENY;
        break;
    }
    return match;
}

const abi::ps_match &Matches::of_address(RuleList list) {
    const auto [place, added] = addresses_.try_emplace(list);
    if (added)
        place->second = decide(list);
    return place->second;
}

const abi::ps_match &Matches::of_name(RuleList list) {
    const auto [place, added] = names_.try_emplace(list);
    if (!added)
        return place->second;
    place->second = decide(list);
    std::vector<RuleNumber> learning;
    bool allows = false;
    for (const auto number : lists_[list]) {
        if (rules_[number].allow && !rules_[number].learn_private)
            continue;
        allows = allows || rules_[number].allow;
        learning.push_back(number);
    }
    if (allows)
        place->second.private_set = rule_set(learning);
    return place->second;
}

bool same_match(const abi::ps_match &a, const abi::ps_match &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace penstock::policy::detail
