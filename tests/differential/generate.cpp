// SPDX-License-Identifier: Apache-2.0
// Worlds: policies and what they are made of.
#include "tests/differential/generate.h"

#include <array>
#include <cstdlib>

namespace penstock::differential {

using namespace penstock::policy;

namespace {

constexpr std::array labels{"a",   "b",   "www", "example", "notexample",    "xample",
                            "com", "org", "svc", "zz-9",    "xn--bcher-kva", "_dmarc"};
constexpr std::array suffixes{"svc.local", "local", "example.com", "com"};
constexpr std::array addresses{"10.0.0.0",
                               "10.0.0.1",
                               "10.0.0.2",
                               "10.0.0.255",
                               "10.0.1.0",
                               "10.255.255.255",
                               "11.0.0.0",
                               "9.255.255.255",
                               "1.2.3.4",
                               "1.2.3.5",
                               "1.2.3.6",
                               "1.2.4.4",
                               "129.2.3.4",
                               "203.0.113.7",
                               "127.0.0.1",
                               "127.9.9.9",
                               "169.254.169.254",
                               "172.16.0.1",
                               "172.31.255.255",
                               "172.32.0.0",
                               "192.168.1.1",
                               "192.0.0.192",
                               "192.0.1.0",
                               "100.64.0.1",
                               "100.128.0.0",
                               "198.18.0.1",
                               "198.20.0.0",
                               "0.0.0.0",
                               "0.0.0.9",
                               "224.0.0.1",
                               "239.255.255.250",
                               "240.0.0.1",
                               "255.255.255.255",
                               "::",
                               "::1",
                               "::2",
                               "::10.0.0.1",
                               "fd00::1",
                               "fd00::2",
                               "fc00::",
                               "fe80::1",
                               "fec0::1",
                               "fe00::1",
                               "ff02::1",
                               "2001:db8::1",
                               "2001:db8::2",
                               "2001:db8:0:1::1",
                               "2001:db9::",
                               "64:ff9b::10.0.0.1",
                               "64:ff9b::1.2.3.4",
                               "64:ff9b::224.0.0.1",
                               "64:ff9b:1::1",
                               "64:ff9b:2::1",
                               "2002:a00:1::1",
                               "2002:102:304::1",
                               "2002:e000:1::",
                               "::fffe:1.2.3.4",
                               "::1:ffff:1.2.3.4"};
constexpr std::array<std::uint16_t, 12> ports{0, 1, 22, 79, 80, 81, 442, 443, 1023, 1024, 65534, 65535};
constexpr std::array<int, 9> v4_lengths{0, 1, 7, 8, 16, 24, 30, 31, 32};
constexpr std::array<int, 13> v6_lengths{0, 1, 7, 16, 32, 63, 64, 80, 95, 96, 126, 127, 128};
Cidr cut(Address address, int length) {
    for (int n = length; n < 128; ++n)
        address.octets[static_cast<std::size_t>(n / 8)] &= static_cast<std::uint8_t>(~(1 << (7 - n % 8)));
    return {address, static_cast<std::uint8_t>(length)};
}

} // namespace

std::string Generator::name() {
    std::string name = labels[below(labels.size())];
    for (auto more = below(4); more > 0; --more)
        name += std::string(".") + labels[below(labels.size())];
    return name;
}

// A name that some pattern holds, or just does not.
std::string Generator::name_near(const World &world) {
    const auto &policy = world.policies[below(world.policies.size())];
    const auto &rules = chance(60) ? policy.allow : policy.deny;
    if (rules.empty() || chance(15))
        return name();
    const auto &rule = rules[below(rules.size())];
    if (rule.domains.empty())
        return name();
    auto near = rule.domains[below(rule.domains.size())].name;
    if (near.empty())
        return name();
    if (chance(50))
        near = name() + "." + near;
    else if (chance(20))
        near = (chance(50) ? "not" : "") + near;
    else if (chance(20))
        near = near.substr(1 + below(near.size()));
    if (chance(25))
        near += std::string(".") + suffixes[below(suffixes.size())];
    while (near.starts_with('.')) // stays canonical
        near.erase(0, 1);
    return near;
}

Address Generator::address() {
    auto address = *Address::parse(addresses[below(addresses.size())]);
    if (chance(10)) {
        const auto lowest = address.is_v4() ? std::size_t{12} : std::size_t{0};
        address.octets[lowest + below(16 - lowest)] ^= static_cast<std::uint8_t>(1U << below(8));
    }
    return address;
}

Address Generator::address_near(const World &world) {
    const auto &policy = world.policies[below(world.policies.size())];
    const auto &rules = chance(60) ? policy.allow : policy.deny;
    if (rules.empty() || chance(50))
        return address();
    const auto &rule = rules[below(rules.size())];
    if (rule.cidrs.empty())
        return address();
    const auto &cidr = rule.cidrs[below(rule.cidrs.size())];
    auto near = cidr.address;
    for (std::size_t n = cidr.length; n < 128; ++n) // a host in it, all bits one or some
        if (chance(70))
            near.octets[n / 8] |= static_cast<std::uint8_t>(1U << (7 - n % 8));
    return near;
}

Cidr Generator::cidr() {
    const auto base = address();
    return base.is_v4() ? cut(base, 96 + v4_lengths[below(v4_lengths.size())])
                        : cut(base, v6_lengths[below(v6_lengths.size())]);
}

std::uint16_t Generator::port() {
    return chance(90) ? ports[below(ports.size())] : static_cast<std::uint16_t>(below(65536));
}

PortRange Generator::port_range() {
    if (chance(20))
        return {Protocol::icmp, 0, 0};
    auto first = port(), last = chance(50) ? first : port();
    return {chance(60) ? Protocol::tcp : Protocol::udp, std::min(first, last), std::max(first, last)};
}

Rule Generator::rule(std::string rule_name, bool allow) {
    Rule rule;
    rule.name = std::move(rule_name);
    for (auto count = below(4); count > 0; --count) {
        if (chance(7))
            rule.domains.push_back({NamePattern::Kind::every, ""});
        else if (chance(10))
            rule.domains.push_back(
                {NamePattern::Kind::below, chance(50) ? "in-addr.arpa" : "10.in-addr.arpa"});
        else
            rule.domains.push_back(
                {chance(50) ? NamePattern::Kind::exact : NamePattern::Kind::below, name()});
    }
    for (auto count = rule.domains.empty() ? 1 + below(3) : below(3); count > 0; --count)
        rule.cidrs.push_back(cidr());
    for (auto count = below(4); count > 0; --count)
        rule.ports.push_back(port_range());
    if (allow && chance(40))
        rule.learn_private = chance(50);
    return rule;
}

Policy Generator::a_policy(std::string policy_name) {
    Policy policy;
    policy.name = std::move(policy_name);
    policy.mode = chance(75) ? Mode::enforce : Mode::audit;
    policy.loopback_allowed = chance(70);
    policy.inbound_allowed = chance(70);
    policy.dns.resolvers_any = chance(30);
    policy.dns.learn_private = chance(30);
    policy.dns.min_ttl_s = static_cast<std::uint32_t>(below(100));
    if (chance(60)) {
        policy.dns.resolvers.emplace();
        for (auto count = 1 + below(2); count > 0; --count)
            policy.dns.resolvers->push_back(address());
    }
    if (chance(50)) {
        policy.dns.search.emplace();
        for (auto count = below(3); count > 0; --count)
            policy.dns.search->push_back(suffixes[below(suffixes.size())]);
    }
    for (std::size_t i = 0, count = below(5); i < count; ++i)
        policy.allow.push_back(rule("allow[" + std::to_string(i) + "]", true));
    for (std::size_t i = 0, count = below(4); i < count; ++i)
        policy.deny.push_back(rule("deny[" + std::to_string(i) + "]", false));
    return policy;
}

World Generator::world() {
    World world;
    const std::array names{"p", "q", "a"}; // not in order on purpose
    for (std::size_t i = 0, count = 1 + below(3); i < count; ++i)
        world.policies.push_back(a_policy(names[i]));
    world.environment.resolvers = {*Address::parse("10.0.0.2"), *Address::parse("fd00::2")};
    if (chance(50))
        world.environment.search = {suffixes[below(suffixes.size())]};
    return world;
}

std::uint64_t run_seed() {
    const char *text = std::getenv("PENSTOCK_SEED");
    if (const auto seed = text ? std::strtoull(text, nullptr, 0) : 0)
        return seed;
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

} // namespace penstock::differential
