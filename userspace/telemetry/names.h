// SPDX-License-Identifier: Apache-2.0
// The words for the numbers of the boundary header. These texts are API (docs/api.md); each sink uses them.
#pragma once

#include "bpf/abi.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::telemetry {

std::string_view verdict_name(std::uint8_t verdict);     // none allow deny would-deny untold
std::string_view direction_name(std::uint8_t direction); // egress ingress
std::string reason_name(std::uint8_t reason);            // "no-rule"; unknown: "reason-N"
std::string_view hook_name(std::uint8_t hook);
std::string_view mode_name(std::uint8_t mode); // enforce audit open; else ""
std::string_view event_kind_name(std::uint8_t kind);
std::string_view birth_name(std::uint16_t policy);          // deny allow audit; else ""
std::string protocol_name(std::uint8_t protocol);           // tcp udp icmp icmpv6, else the number; 0: ""
std::string query_type_name(std::uint16_t type);            // A AAAA ..., else TYPE65535; 0: ""
std::string address_text(const std::uint8_t (&octets)[16]); // all zero: ""
std::string hex_id(std::uint64_t id);                       // "0x1f2a"

// The name as people write it, from what the kernel keeps: reversed text, a final NUL if any is dropped.
std::string forward_name(std::string_view reversed);
std::string domain_name(const abi::ps_domain &); // as people write it

// RFC 3339 in UTC with milliseconds.
std::string time_text(std::chrono::system_clock::time_point);

// Text that may hold anything, as UTF-8: an octet that is no UTF-8 becomes \xNN. Valid text is unchanged.
std::string utf8_text(std::string_view);

} // namespace penstock::telemetry
