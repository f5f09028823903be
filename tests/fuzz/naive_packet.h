// SPDX-License-Identifier: Apache-2.0
// The headers of an IP packet read a second time, by the RFCs (791, 768, 9293, 8200), slowly. Shares only abi.h with
// bpf/lib/packet.h.
#pragma once

#include "bpf/abi.h"

#include <array>
#include <cstdint>
#include <span>

namespace penstock::fuzz {

using Bytes = std::span<const std::uint8_t>;

struct NaiveFlow {
    int reason = 0; // of abi.h; the fields after it are whole only when it is 0
    std::array<std::uint8_t, 16> source{}, destination{};
    int protocol = 0, source_port = 0, destination_port = 0, tcp_flags = 0;
    bool has_ports = false;
    std::uint32_t payload_offset = 0, payload_length = 0;
    std::uint32_t headers = 0; // octets before the payload
};

NaiveFlow read_packet(Bytes);

} // namespace penstock::fuzz
