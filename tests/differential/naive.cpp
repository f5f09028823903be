// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/naive.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <sstream>

namespace penstock::differential {

using namespace penstock::policy;

namespace {

using Labels = std::vector<std::string>;

Labels split(const std::string &name) {
    Labels labels;
    std::istringstream stream(name);
    for (std::string label; std::getline(stream, label, '.');)
        labels.push_back(label);
    return labels;
}

// Does `labels` end in `tail`, with at least `extra` labels before it?
bool ends_in(const Labels &labels, const Labels &tail, std::size_t extra) {
    return labels.size() >= tail.size() + extra && std::equal(tail.rbegin(), tail.rend(), labels.rbegin());
}

bool holds(const NamePattern &pattern, const std::string &suffix, const std::string &name) {
    if (pattern.kind == NamePattern::Kind::every)
        return true;
    const auto whole = suffix.empty() ? pattern.name : pattern.name + "." + suffix;
    if (whole.size() > 253)
        return false;
    if (pattern.kind == NamePattern::Kind::exact)
        return name == whole;
    return ends_in(split(name), split(whole), 1);
}

bool bit(const Address &address, int n) {
    return address.octets[static_cast<std::size_t>(n / 8)] >> (7 - n % 8) & 1;
}

bool holds(const Cidr &cidr, const Address &address) {
    const bool cidr_is_v4 = cidr.length >= 96 && cidr.address.is_v4();
    if (cidr_is_v4 != address.is_v4())
        return false;
    for (int n = 0; n < cidr.length; ++n)
        if (bit(cidr.address, n) != bit(address, n))
            return false;
    return true;
}

bool names_port(const Rule &rule, bool denies, std::uint8_t protocol, std::uint16_t port) {
    if (rule.ports.empty())
        return protocol == 6 || protocol == 17 || (denies && (protocol == 1 || protocol == 58));
    return std::any_of(rule.ports.begin(), rule.ports.end(), [&](const PortRange &range) {
        switch (range.protocol) {
        case Protocol::tcp:
            return protocol == 6 && port >= range.first && port <= range.last;
        case Protocol::udp:
            return protocol == 17 && port >= range.first && port <= range.last;
        case Protocol::icmp:
            return protocol == 1 || protocol == 58;
        }
        return false;
    });
}

// Everything that several policies say together.
struct United {
    struct Entry {
        const Policy *policy;
        const Rule *rule;
        std::string name() const { return policy->name + "/" + rule->name; }
    };
    std::vector<Entry> allow, deny; // by policy name, then position
    std::vector<std::string> suffixes{""};
    std::vector<Address> resolvers;
    bool resolvers_any = false, enforce = false, loopback = true;

    explicit United(const World &world) {
        std::vector<const Policy *> policies;
        for (const auto &policy : world.policies)
            policies.push_back(&policy);
        std::sort(policies.begin(), policies.end(), [](auto *a, auto *b) { return a->name < b->name; });
        for (const auto *policy : policies)
            add(*policy, world.environment);
    }

    void add(const Policy &policy, const Environment &environment) {
        for (const auto &rule : policy.allow)
            allow.push_back({&policy, &rule});
        for (const auto &rule : policy.deny)
            deny.push_back({&policy, &rule});
        for (const auto &suffix : policy.dns.search ? *policy.dns.search : environment.search)
            suffixes.push_back(suffix);
        for (const auto &resolver : policy.dns.resolvers ? *policy.dns.resolvers : environment.resolvers)
            resolvers.push_back(resolver);
        resolvers_any |= policy.dns.resolvers_any;
        enforce |= policy.mode == Mode::enforce;
        loopback &= policy.loopback_allowed;
    }

    bool holds_name(const Rule &rule, const std::string &name) const {
        for (const auto &pattern : rule.domains)
            for (const auto &suffix : suffixes)
                if (holds(pattern, suffix, name))
                    return true;
        return false;
    }

    bool is_resolver(const Address &address) const {
        return resolvers_any || std::find(resolvers.begin(), resolvers.end(), address) != resolvers.end();
    }

    static bool holds_address(const Rule &rule, const Address &address) {
        return std::any_of(rule.cidrs.begin(), rule.cidrs.end(),
                           [&](const Cidr &c) { return holds(c, address); });
    }

    Answer make(abi::ps_verdict verdict, abi::ps_reason reason, std::string rule = {}) const {
        if (verdict == abi::PS_DENY && !enforce)
            verdict = abi::PS_WOULD_DENY;
        return {verdict, reason, std::move(rule)};
    }
};

using Holds = std::function<bool(const Rule &)>;

const United::Entry *first(const std::vector<United::Entry> &entries,
                           const std::function<bool(const United::Entry &)> &test) {
    const auto place = std::find_if(entries.begin(), entries.end(), test);
    return place == entries.end() ? nullptr : &*place;
}

// The verdict on a query or an address as a whole.
struct Whole {
    const United::Entry *deny, *allow;
};
Whole whole(const United &united, const Holds &rule_holds) {
    return {first(united.deny, [&](const auto &e) { return rule_holds(*e.rule) && e.rule->ports.empty(); }),
            first(united.allow, [&](const auto &e) { return rule_holds(*e.rule); })};
}

bool learns_private(const United::Entry &entry) {
    return entry.rule->learn_private ? *entry.rule->learn_private : entry.policy->dns.learn_private;
}

// Is the address usable through this learned name at all?
bool counts(const United &united, const LearnedName &learned, const Address &address) {
    const Holds by_name = [&](const Rule &rule) { return united.holds_name(rule, learned.name); };
    const auto query = whole(united, by_name);
    if (learned.expired || address.is_never_learned() || query.deny || !query.allow)
        return false;
    return !address.is_private() ||
           first(united.allow, [&](const auto &e) { return by_name(*e.rule) && learns_private(e); });
}

// A source of rules for a flow: the CIDRs, or one learned name.
struct Source {
    Holds rule_holds;
    bool needs_private; // allow rules count only if they learn private addresses
    abi::ps_reason reason;
};

std::vector<Source> sources(const United &united, const Flow &flow) {
    std::vector<Source> found;
    found.push_back({[&flow](const Rule &rule) { return United::holds_address(rule, flow.remote); }, false,
                     abi::PS_R_CIDR});
    for (const auto &learned : flow.learned)
        if (counts(united, learned, flow.remote))
            found.push_back({[&](const Rule &rule) { return united.holds_name(rule, learned.name); },
                             flow.remote.is_private(), abi::PS_R_LEARNED});
    return found;
}

std::optional<Address> reversed_by_trial(const std::string &name) {
    // A whole address's reverse name is rebuilt from what was read and compared: no second parser to trust.
    const auto labels = split(name);
    std::string text;
    if (labels.size() == 6 && name.ends_with(".in-addr.arpa"))
        text = labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0];
    if (labels.size() == 34 && name.ends_with(".ip6.arpa"))
        for (std::size_t i = 32; i-- > 0;)
            text += labels[i] + (i % 4 == 0 && i > 0 ? ":" : "");
    const bool nibbles =
        labels.size() != 34 ||
        std::all_of(labels.begin(), labels.begin() + 32, [](const auto &label) { return label.size() == 1; });
    return nibbles ? Address::parse(text) : std::nullopt;
}

// 127.0.0.11 is Docker's resolver, on whatever port the host's address translation has put it.
bool is_dns(const Flow &flow) {
    return (flow.protocol == 6 || flow.protocol == 17) &&
           (flow.port == 53 || flow.remote == *Address::parse("127.0.0.11"));
}

} // namespace

Answer judge(const World &world, const Flow &flow) {
    const United united(world);
    if (is_dns(flow))
        return united.is_resolver(flow.remote) ? united.make(abi::PS_ALLOW, abi::PS_R_DNS_SESSION)
                                               : united.make(abi::PS_DENY, abi::PS_R_RESOLVER);
    if (flow.remote.is_loopback())
        return united.loopback ? united.make(abi::PS_ALLOW, abi::PS_R_LOOPBACK)
                               : united.make(abi::PS_DENY, abi::PS_R_LOOPBACK_DENIED);
    const bool known = flow.protocol == 6 || flow.protocol == 17 ||
                       (flow.protocol == 1 && flow.remote.is_v4()) ||
                       (flow.protocol == 58 && !flow.remote.is_v4());
    if (!known)
        return united.make(abi::PS_DENY, abi::PS_R_PROTOCOL);
    const auto all = sources(united, flow);
    for (const auto &source : all)
        if (const auto *entry = first(united.deny, [&](const auto &e) {
                return source.rule_holds(*e.rule) && names_port(*e.rule, true, flow.protocol, flow.port);
            }))
            return united.make(abi::PS_DENY, abi::PS_R_DENY_RULE, entry->name());
    for (const auto &source : all)
        if (const auto *entry = first(united.allow, [&](const auto &e) {
                return source.rule_holds(*e.rule) && names_port(*e.rule, false, flow.protocol, flow.port) &&
                       (!source.needs_private || learns_private(e));
            }))
            return united.make(abi::PS_ALLOW, source.reason, entry->name());
    return united.make(abi::PS_DENY, abi::PS_R_NO_RULE);
}

Answer judge(const World &world, const Question &question) {
    const United united(world);
    if (!united.is_resolver(question.resolver))
        return united.make(abi::PS_DENY, abi::PS_R_RESOLVER);
    const auto by_name =
        whole(united, [&](const Rule &rule) { return united.holds_name(rule, question.name); });
    if (by_name.deny)
        return united.make(abi::PS_DENY, abi::PS_R_NAME_DENIED, by_name.deny->name());
    if (by_name.allow)
        return united.make(abi::PS_ALLOW, abi::PS_R_DNS_QUERY, by_name.allow->name());
    const auto address = reversed_by_trial(question.name);
    if (!address)
        return united.make(abi::PS_DENY, abi::PS_R_NAME_NOT_ALLOWED);
    const auto by_cidr =
        whole(united, [&](const Rule &rule) { return United::holds_address(rule, *address); });
    if (by_cidr.deny)
        return united.make(abi::PS_DENY, abi::PS_R_REVERSE_NOT_ALLOWED, by_cidr.deny->name());
    if (by_cidr.allow)
        return united.make(abi::PS_ALLOW, abi::PS_R_REVERSE_QUERY, by_cidr.allow->name());
    for (const auto &learned : question.learned)
        if (counts(united, learned, *address))
            return united.make(abi::PS_ALLOW, abi::PS_R_REVERSE_QUERY);
    return united.make(abi::PS_DENY, abi::PS_R_REVERSE_NOT_ALLOWED);
}

Answer answer_of(const Image &image, const Verdict &verdict) {
    Answer answer{verdict.verdict, verdict.reason, {}};
    if (verdict.rule)
        answer.rule = image.rules.at(verdict.rule).policy + "/" + image.rules.at(verdict.rule).rule;
    return answer;
}

} // namespace penstock::differential
