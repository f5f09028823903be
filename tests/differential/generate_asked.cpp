// SPDX-License-Identifier: Apache-2.0
// What is asked of a world: flows, questions, and what was learned before them.
#include "tests/differential/generate.h"

#include <array>
#include <string_view>

namespace penstock::differential {

using namespace penstock::policy;

namespace {

constexpr std::array<std::uint8_t, 12> protocols{6, 6, 6, 6, 17, 17, 17, 1, 58, 47, 132, 136};
constexpr std::array bad_reverse{"in-addr.arpa",
                                 "ip6.arpa",
                                 "10.in-addr.arpa",
                                 "1.0.0.10.in-addr.arpa.com",
                                 "01.0.0.10.in-addr.arpa",
                                 "256.0.0.10.in-addr.arpa",
                                 "1.1.0.0.10.in-addr.arpa",
                                 "1.0.0.1a.in-addr.arpa",
                                 "1.0.0.10.xin-addr.arpa",
                                 "0.0.0.10.ip6.arpa",
                                 "1.0.0.0.in-addr.arpa",
                                 "1000.0.0.10.in-addr.arpa",
                                 "00.0.0.10.in-addr.arpa"};

std::string reverse_of(const Address &address) {
    std::string name;
    if (address.is_v4()) {
        for (std::size_t i = 16; i-- > 12;)
            name += std::to_string(address.octets[i]) + ".";
        return name + "in-addr.arpa";
    }
    constexpr std::string_view digits = "0123456789abcdef";
    for (std::size_t i = 16; i-- > 0;) {
        name += digits[address.octets[i] & 15];
        name += '.';
        name += digits[address.octets[i] >> 4];
        name += '.';
    }
    return name + "ip6.arpa";
}

} // namespace

std::vector<LearnedName> Generator::learned(const World &world) {
    std::vector<LearnedName> learned;
    for (auto count = chance(30) ? 0 : below(4); count > 0; --count)
        learned.push_back({name_near(world), chance(20)});
    return learned;
}

// To a resolver of the policy, to Docker's or to neither; on port 53 or, as after address translation, another.
void Generator::make_dns(const World &world, Flow &flow) {
    const auto &policy = world.policies[below(world.policies.size())];
    if (chance(30))
        flow.remote = *Address::parse("127.0.0.11");
    else if (chance(60))
        flow.remote =
            policy.dns.resolvers ? policy.dns.resolvers->front() : world.environment.resolvers.front();
    flow.protocol = chance(70) ? 6 : 17;
    flow.port = chance(70) ? std::uint16_t{53} : port();
}

Flow Generator::flow(const World &world) {
    Flow flow;
    flow.remote = address_near(world);
    flow.protocol = protocols[below(protocols.size())];
    flow.port = flow.protocol == 6 || flow.protocol == 17 ? port() : std::uint16_t{0};
    if (chance(6))
        make_dns(world, flow);
    flow.learned = learned(world);
    return flow;
}

std::string Generator::reverse_name() {
    return chance(20) ? bad_reverse[below(bad_reverse.size())] : reverse_of(address());
}

Question Generator::question(const World &world) {
    Question question;
    question.resolver = address();
    for (const auto &policy : world.policies)
        if (chance(60))
            question.resolver =
                policy.dns.resolvers ? policy.dns.resolvers->front() : world.environment.resolvers.front();
    if (chance(25)) {
        question.name = chance(50) ? reverse_name() : reverse_of(address_near(world));
        question.learned = learned(world);
    } else if (!chance(2)) {
        question.name = name_near(world);
    }
    return question;
}

} // namespace penstock::differential
