// SPDX-License-Identifier: Apache-2.0
// An image's entries as the bytes of the maps' keys. Pure. Layouts: bpf/abi.h.
#pragma once

#include "bpf/abi.h"
#include "policy/compile.h"

#include <cstdint>
#include <string_view>

namespace penstock::sync {

abi::ps_name_key name_key(std::uint16_t policy, std::string_view reversed);
bool is_v4(const policy::Cidr &); // goes to cidrs4
abi::ps_cidr4_key cidr4_key(std::uint16_t policy, const policy::Cidr &);
abi::ps_cidr6_key cidr6_key(std::uint16_t policy, const policy::Cidr &);
abi::ps_port_key port_key(std::uint64_t rule_set, const policy::PortEntry &);
abi::ps_limits_key limits_key(std::uint16_t policy, std::uint64_t rule); // 0: of the container
abi::ps_resolver_key resolver_key(std::uint16_t policy, const policy::Address &);

} // namespace penstock::sync
