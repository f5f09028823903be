// SPDX-License-Identifier: Apache-2.0
// CIDRs and port ranges from text, with faults that say how to write them; and a range as text again.
#pragma once

#include "policy/model.h"
#include "policy/outcome.h"

#include <string>
#include <string_view>

namespace penstock::policy {

Outcome<Cidr> parse_cidr(std::string_view);            // "10.0.0.0/8", "fd00::/8", "10.0.0.1"
Outcome<PortRange> parse_port_range(std::string_view); // "tcp/443", "udp/80-90", "tcp", "icmp"
std::string port_text(const PortRange &);              // as policies write it

} // namespace penstock::policy
