// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/keys.h"

#include <algorithm>
#include <stdexcept>

namespace penstock::sync {
namespace {

constexpr std::uint32_t policy_bits = 16;
constexpr std::uint8_t v4_prefix = 96; // of ::ffff:0:0/96

} // namespace

abi::ps_name_key name_key(std::uint16_t policy, std::string_view reversed) {
    abi::ps_name_key key{};
    if (reversed.size() > sizeof key.name)
        throw std::logic_error("a name of an image is too long");
    key.prefixlen = policy_bits + static_cast<std::uint32_t>(reversed.size()) * 8;
    key.policy = policy;
    std::copy(reversed.begin(), reversed.end(), key.name);
    return key;
}

bool is_v4(const policy::Cidr &cidr) {
    return cidr.address.is_v4() && cidr.length >= v4_prefix;
}

abi::ps_cidr4_key cidr4_key(std::uint16_t policy, const policy::Cidr &cidr) {
    abi::ps_cidr4_key key{};
    key.prefixlen = policy_bits + cidr.length - v4_prefix;
    key.policy = policy;
    std::copy(cidr.address.octets.begin() + 12, cidr.address.octets.end(), key.address);
    return key;
}

abi::ps_cidr6_key cidr6_key(std::uint16_t policy, const policy::Cidr &cidr) {
    abi::ps_cidr6_key key{};
    key.prefixlen = policy_bits + cidr.length;
    key.policy = policy;
    std::copy(cidr.address.octets.begin(), cidr.address.octets.end(), key.address);
    return key;
}

abi::ps_port_key port_key(std::uint64_t rule_set, const policy::PortEntry &entry) {
    abi::ps_port_key key{};
    key.prefixlen = 64 + 8 + entry.prefix_bits;
    key.rule_set = rule_set;
    key.protocol = entry.protocol;
    key.port_be[0] = static_cast<std::uint8_t>(entry.port >> 8);
    key.port_be[1] = static_cast<std::uint8_t>(entry.port);
    return key;
}

abi::ps_limits_key limits_key(std::uint16_t policy, std::uint64_t rule) {
    abi::ps_limits_key key{};
    key.rule = rule;
    key.policy = policy;
    return key;
}

abi::ps_resolver_key resolver_key(std::uint16_t policy, const policy::Address &address) {
    abi::ps_resolver_key key{};
    std::copy(address.octets.begin(), address.octets.end(), key.address);
    key.policy = policy;
    return key;
}

} // namespace penstock::sync
