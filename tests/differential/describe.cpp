// SPDX-License-Identifier: Apache-2.0
// Worlds, flows and questions as text: enough to see by eye why two judges differ.
#include "tests/differential/generate.h"

#include <sstream>

namespace penstock::differential {

using namespace penstock::policy;

namespace {

void describe_rule(std::ostream &out, const char *kind, const Rule &rule) {
    out << "  " << kind << ' ' << rule.name << ':';
    for (const auto &domain : rule.domains)
        out << ' ' << domain.text();
    for (const auto &cidr : rule.cidrs)
        out << ' ' << cidr.text();
    for (const auto &range : rule.ports)
        out << ' '
            << (range.protocol == Protocol::tcp   ? "tcp/"
                : range.protocol == Protocol::udp ? "udp/"
                                                  : "icmp/")
            << range.first << '-' << range.last;
    if (rule.learn_private)
        out << " private=" << *rule.learn_private;
    out << '\n';
}

void describe_learned(std::ostream &out, const std::vector<LearnedName> &learned) {
    for (const auto &name : learned)
        out << " learned " << name.name << (name.expired ? " (expired)" : "");
}

void describe_dns(std::ostream &out, const Dns &dns) {
    out << " private=" << dns.learn_private << " resolvers" << (dns.resolvers_any ? " any" : "");
    if (dns.resolvers)
        for (const auto &resolver : *dns.resolvers)
            out << ' ' << resolver.text();
    if (dns.search) {
        out << " search";
        for (const auto &suffix : *dns.search)
            out << ' ' << suffix;
    }
}

} // namespace

std::string describe(const World &world) {
    std::ostringstream out;
    for (const auto &policy : world.policies) {
        out << "policy " << policy.name << (policy.mode == Mode::audit ? " audit" : "")
            << " loopback=" << policy.loopback_allowed;
        describe_dns(out, policy.dns);
        out << '\n';
        for (const auto &rule : policy.deny)
            describe_rule(out, "deny", rule);
        for (const auto &rule : policy.allow)
            describe_rule(out, "allow", rule);
    }
    out << "environment search";
    for (const auto &suffix : world.environment.search)
        out << ' ' << suffix;
    out << '\n';
    return out.str();
}

std::string describe(const Flow &flow) {
    std::ostringstream out;
    out << "flow to " << flow.remote.text() << " protocol " << int{flow.protocol} << " port " << flow.port;
    describe_learned(out, flow.learned);
    return out.str();
}

std::string describe(const Question &question) {
    std::ostringstream out;
    out << "question '" << question.name << "' to " << question.resolver.text();
    describe_learned(out, question.learned);
    return out.str();
}

std::string describe(const Answer &answer) {
    return "verdict " + std::to_string(answer.verdict) + " reason " + std::to_string(answer.reason) +
           " rule '" + answer.rule + "'";
}

} // namespace penstock::differential
