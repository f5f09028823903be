// SPDX-License-Identifier: Apache-2.0
// The order of gates for a flow and for a question, with a sentence for each gate passed.
#include "policy/explain.h"

#include "policy/limit_text.h"

#include <algorithm>

namespace penstock::policy {

namespace {

// What could decide a flow: the CIDR's rule set or a learned name's.
struct Candidate {
    std::uint64_t rule_set = 0;
    abi::ps_reason allow_reason = abi::PS_R_CIDR;
    std::string name;
};

std::string rule_text(const Image &image, std::uint64_t id) {
    const auto place = image.rules.find(id);
    if (place == image.rules.end())
        return "no rule";
    const auto &info = place->second;
    return (info.allow ? "allow rule " : "deny rule ") + info.policy + "/" + info.rule;
}

Verdict finish(const Image &image, Verdict verdict) {
    if (verdict.verdict != abi::PS_DENY || image.settings.mode != abi::PS_MODE_AUDIT)
        return verdict;
    verdict.verdict = abi::PS_WOULD_DENY;
    verdict.path.emplace_back("the policy audits: counted as would-deny and let pass");
    return verdict;
}

Verdict decide(Verdict so_far, abi::ps_verdict verdict, abi::ps_reason reason, std::string sentence,
               std::uint64_t rule = 0, std::string name = {}) {
    so_far.verdict = verdict;
    so_far.reason = reason;
    so_far.rule = rule;
    so_far.name = std::move(name);
    so_far.path.push_back(std::move(sentence));
    return so_far;
}

std::string longest_cidr(const Image &image, const Address &address) {
    for (const auto &entry : image.cidrs)
        if (entry.cidr.contains(address))
            return entry.cidr.text();
    return {};
}

bool nameable(std::uint8_t protocol, const Address &remote) {
    constexpr std::uint8_t icmp = 1, tcp = 6, udp = 17, icmp6 = 58;
    return protocol == tcp || protocol == udp || protocol == (remote.is_v4() ? icmp : icmp6);
}

// The rule set that a learned name gives its address. 0, none: the name may be asked for no more, or such an
// address is not learned from it.
std::uint64_t set_for(const abi::ps_match &match, const Address &address) {
    if (match.verdict != abi::PS_ALLOW)
        return 0;
    return address.is_private() ? match.private_set : match.rule_set;
}

std::vector<Candidate> candidates(const Image &image, const Flow &flow, Verdict &verdict) {
    std::vector<Candidate> found;
    if (const auto match = find_address(image, flow.remote)) {
        found.push_back({match->rule_set, abi::PS_R_CIDR, longest_cidr(image, flow.remote)});
        verdict.path.push_back("the address is in " + found.back().name);
    } else {
        verdict.path.emplace_back("no rule has a CIDR with the address");
    }
    if (flow.remote.is_never_learned())
        return found;
    for (const auto &learned : flow.learned) {
        if (learned.expired) {
            verdict.path.push_back("it was learned for " + learned.name + ", but that has expired");
            continue;
        }
        const auto match = find_name(image, learned.name);
        const auto set = match ? set_for(*match, flow.remote) : 0;
        verdict.path.push_back("it was learned for " + learned.name +
                               (set ? "" : ", which no rule gives this address"));
        if (set)
            found.push_back({set, abi::PS_R_LEARNED, learned.name});
    }
    return found;
}

// A name that no rule allows: the reverse name of an address that may be reached passes all the same.
Verdict explain_reverse(const Image &image, const Question &question, const Address &address,
                        const Verdict &so_far) {
    const auto allow = [&](std::uint64_t rule) {
        return decide(so_far, abi::PS_ALLOW, abi::PS_R_REVERSE_QUERY,
                      address.text() + " may be reached by " + rule_text(image, rule), rule, address.text());
    };
    const auto deny = [&](std::uint64_t rule) {
        return decide(so_far, abi::PS_DENY, abi::PS_R_REVERSE_NOT_ALLOWED,
                      address.text() + " may not be reached: " + rule_text(image, rule), rule,
                      address.text());
    };
    const auto by_cidr = find_address(image, address);
    if (by_cidr && by_cidr->verdict == abi::PS_DENY)
        return deny(by_cidr->rule);
    if (by_cidr && by_cidr->verdict == abi::PS_ALLOW)
        return allow(by_cidr->rule);
    if (!address.is_never_learned())
        for (const auto &learned : question.learned)
            if (const auto match = find_name(image, learned.name);
                match && !learned.expired && set_for(*match, address))
                return decide(so_far, abi::PS_ALLOW, abi::PS_R_REVERSE_QUERY,
                              address.text() + " was learned for " + learned.name, 0, learned.name);
    return deny(0);
}

bool is_resolver(const Image &image, const Address &address) {
    return image.settings.resolvers_any ||
           std::find(image.resolvers.begin(), image.resolvers.end(), address) != image.resolvers.end();
}

// Docker's resolver: the kernel sees its port before or after the host's address translation, so every one is it.
bool is_docker_resolver(const Address &address) {
    static const Address docker = *Address::parse("127.0.0.11");
    return address == docker;
}

bool is_dns(const Flow &flow) {
    constexpr std::uint8_t tcp = 6, udp = 17;
    return (flow.protocol == tcp || flow.protocol == udp) &&
           (flow.port == 53 || is_docker_resolver(flow.remote));
}

// Of such a flow only the questions in it can be judged further.
Verdict explain_dns(const Image &image, const Flow &flow) {
    Verdict verdict;
    verdict.path.emplace_back(
        is_docker_resolver(flow.remote)
            ? "every port of 127.0.0.11 is Docker's resolver and judged as DNS, not loopback"
            : "port 53 is judged as DNS, whatever the rules say");
    if (!is_resolver(image, flow.remote))
        return decide(verdict, abi::PS_DENY, abi::PS_R_RESOLVER,
                      flow.remote.text() + " is no resolver of the policy");
    return decide(verdict, abi::PS_ALLOW, abi::PS_R_DNS_SESSION,
                  flow.remote.text() +
                      " is a resolver of the policy: questions for allowed names pass, all else is denied");
}

Verdict judge(const Image &image, const Flow &flow) {
    Verdict verdict;
    const auto &settings = image.settings;
    if (settings.mode == abi::PS_MODE_OPEN)
        return decide(verdict, abi::PS_ALLOW, abi::PS_R_OPEN,
                      "its policy is not known yet and it was born open");
    if (is_dns(flow))
        return explain_dns(image, flow);
    if (flow.remote.is_loopback())
        return settings.loopback == abi::PS_ALLOW
                   ? decide(verdict, abi::PS_ALLOW, abi::PS_R_LOOPBACK, "loopback is allowed")
                   : decide(verdict, abi::PS_DENY, abi::PS_R_LOOPBACK_DENIED, "loopback is denied");
    if (!nameable(flow.protocol, flow.remote))
        return decide(verdict, abi::PS_DENY, abi::PS_R_PROTOCOL, "no rule can name this protocol");

    std::optional<Verdict> allowed;
    for (const auto &candidate : candidates(image, flow, verdict)) {
        const auto rule = find_port(image, candidate.rule_set, flow.protocol, flow.port);
        if (!rule)
            continue;
        const auto text = rule_text(image, rule->rule) + " names the port";
        if (rule->verdict == abi::PS_DENY)
            return decide(verdict, abi::PS_DENY, abi::PS_R_DENY_RULE, text, rule->rule, candidate.name);
        if (!allowed)
            allowed =
                decide(verdict, abi::PS_ALLOW, candidate.allow_reason, text, rule->rule, candidate.name);
    }
    if (allowed)
        return *allowed;
    return decide(verdict, abi::PS_DENY, static_cast<abi::ps_reason>(settings.default_reason),
                  "no rule allows this address and port");
}

Verdict judge(const Image &image, const Question &question) {
    Verdict verdict;
    if (image.settings.mode == abi::PS_MODE_OPEN)
        return decide(verdict, abi::PS_ALLOW, abi::PS_R_OPEN,
                      "its policy is not known yet and it was born open");
    if (!is_resolver(image, question.resolver))
        return decide(verdict, abi::PS_DENY, abi::PS_R_RESOLVER,
                      question.resolver.text() + " is no resolver of the policy");
    verdict.path.push_back(question.resolver.text() + " is a resolver of the policy");

    const auto match = find_name(image, question.name);
    if (match && match->verdict == abi::PS_DENY)
        return decide(verdict, abi::PS_DENY, abi::PS_R_NAME_DENIED,
                      rule_text(image, match->rule) + " matches the name", match->rule, question.name);
    if (match && match->verdict == abi::PS_ALLOW)
        return decide(verdict, abi::PS_ALLOW, abi::PS_R_DNS_QUERY,
                      rule_text(image, match->rule) + " matches the name", match->rule, question.name);
    verdict.path.emplace_back("no allow rule matches the name");
    if (const auto address = reverse_address(question.name))
        return explain_reverse(image, question, *address, verdict);
    return decide(verdict, abi::PS_DENY, abi::PS_R_NAME_NOT_ALLOWED, "the default is deny", 0, question.name);
}

// A sentence a limit, of the rule that allows and of the container. Whether they are spent only the kernel knows.
template <class Which>
void add_limits(const Image &image, std::uint64_t rule, Which which, Verdict &verdict) {
    const auto add = [&](std::uint64_t whose, const std::string &name) {
        const auto limits = image.limits_written.find(whose);
        if (limits == image.limits_written.end())
            return;
        const std::string prefix = name + " limits ";
        for (const auto &limit : which(limits->second))
            verdict.path.push_back(prefix + limit);
    };
    if (rule != 0)
        add(rule, rule_text(image, rule));
    add(0, "the container");
}

} // namespace

// Loopback is not charged; what port 53 carries is the container's alone, its questions are charged to rules as questions.
Verdict explain(const Image &image, const Flow &flow) {
    Verdict verdict = judge(image, flow);
    if (verdict.verdict == abi::PS_ALLOW && verdict.reason != abi::PS_R_LOOPBACK &&
        verdict.reason != abi::PS_R_OPEN)
        add_limits(image, verdict.rule, flow_limits, verdict);
    return finish(image, std::move(verdict));
}

Verdict explain(const Image &image, const Question &question) {
    Verdict verdict = judge(image, question);
    if (verdict.verdict == abi::PS_ALLOW && verdict.reason != abi::PS_R_OPEN)
        add_limits(image, verdict.rule, question_limits, verdict);
    return finish(image, std::move(verdict));
}

} // namespace penstock::policy
