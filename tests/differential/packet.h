// SPDX-License-Identifier: Apache-2.0
// Hand-made frames and DNS messages for BPF_PROG_TEST_RUN: Ethernet, IPv4 or IPv6, TCP, UDP or bare payload.
#pragma once

#include "policy/model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::differential {

using Octets = std::vector<std::uint8_t>;

struct Ends { // `from` and `to` are of one family
    policy::Address from, to;
    std::uint16_t from_port = 0, to_port = 0; // of TCP and UDP
};

// A frame with one packet of `protocol`. TCP without payload is a SYN, with payload a data segment; protocols
// without ports carry the payload bare.
Octets frame(const Ends &, std::uint8_t protocol, const Octets &payload);
bool is_over_lo(const Octets &frame); // from or to a loopback address: the kernel takes it to lo

constexpr std::uint16_t type_a = 1, type_ptr = 12, type_aaaa = 28;

Octets dns_query(std::uint16_t id, const std::string &canonical_name, std::uint16_t type);
// The answer to that query: one A or AAAA record an address, as the address is.
Octets dns_answer(const Octets &query, const std::vector<policy::Address> &, std::uint32_t ttl_s);
Octets dns_answer(const Octets &query, const policy::Address &, std::uint32_t ttl_s);
Octets with_length(const Octets &message); // as DNS over TCP frames it

} // namespace penstock::differential
