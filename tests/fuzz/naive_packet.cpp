// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/naive_packet.h"

#include <algorithm>
#include <set>

namespace penstock::fuzz {
namespace {

struct Refused {
    int reason;
};

int number(Bytes octets, std::size_t at, std::size_t size) {
    int value = 0;
    for (std::size_t i = 0; i < size; ++i)
        value = value * 256 + octets[at + i];
    return value;
}

std::array<std::uint8_t, 16> mapped(Bytes v4) {
    std::array<std::uint8_t, 16> address{};
    address[10] = address[11] = 0xff;
    std::copy(v4.begin(), v4.end(), address.begin() + 12);
    return address;
}

// Gives what follows the IP header.
Bytes read_v4(Bytes packet, NaiveFlow &flow) {
    if (packet.size() < 20 || packet[0] % 16 < 5)
        throw Refused{abi::PS_R_TRUNCATED};
    if (packet[0] % 16 > 5)
        throw Refused{abi::PS_R_IP_OPTIONS};
    const bool more_fragments = packet[6] & 0x20;
    if (more_fragments || number(packet, 6, 2) % 0x2000 != 0)
        throw Refused{abi::PS_R_FRAGMENT};
    flow.protocol = packet[9];
    flow.source = mapped(packet.subspan(12, 4));
    flow.destination = mapped(packet.subspan(16, 4));
    return packet.subspan(20);
}

// The header of type `type` stands at the front of `rest`; `before` were stepped over.
Bytes read_extensions(int type, Bytes rest, int before, NaiveFlow &flow) {
    static const std::set<int> unreadable = {43, 51, 135, 139, 140};
    flow.protocol = type;
    if (before == 8)
        throw Refused{abi::PS_R_EXTENSION_HEADER};
    if (type == 44)
        throw Refused{abi::PS_R_FRAGMENT};
    if (unreadable.contains(type))
        throw Refused{abi::PS_R_EXTENSION_HEADER};
    if (type != 0 && type != 60)
        return rest;
    if (rest.size() < 2)
        throw Refused{abi::PS_R_TRUNCATED};
    const std::size_t length = (std::size_t{rest[1]} + 1) * 8;
    return read_extensions(rest[0], rest.subspan(std::min(length, rest.size())), before + 1, flow);
}

Bytes read_v6(Bytes packet, NaiveFlow &flow) {
    if (packet.size() < 40)
        throw Refused{abi::PS_R_TRUNCATED};
    std::copy_n(packet.begin() + 8, 16, flow.source.begin());
    std::copy_n(packet.begin() + 24, 16, flow.destination.begin());
    return read_extensions(packet[6], packet.subspan(40), 0, flow);
}

void read_ports(Bytes segment, NaiveFlow &flow, std::size_t packet_size) {
    const bool tcp = flow.protocol == 6;
    if (segment.size() < (tcp ? 20U : 8U))
        throw Refused{abi::PS_R_TRUNCATED};
    const std::size_t header = tcp ? segment[12] / 16 * 4U : 8U;
    if (tcp && (header < 20 || header > segment.size()))
        throw Refused{abi::PS_R_TRUNCATED};
    flow.has_ports = true;
    flow.source_port = number(segment, 0, 2);
    flow.destination_port = number(segment, 2, 2);
    flow.tcp_flags = tcp ? segment[13] : 0;
    flow.payload_length = static_cast<std::uint32_t>(segment.size() - header);
    flow.payload_offset = flow.headers = static_cast<std::uint32_t>(packet_size) - flow.payload_length;
}

} // namespace

NaiveFlow read_packet(Bytes packet) {
    NaiveFlow flow;
    try {
        if (packet.empty())
            throw Refused{abi::PS_R_TRUNCATED};
        const int version = packet[0] / 16;
        if (version != 4 && version != 6)
            throw Refused{abi::PS_R_NOT_IP};
        const Bytes rest = version == 4 ? read_v4(packet, flow) : read_v6(packet, flow);
        if (flow.protocol == 6 || flow.protocol == 17)
            read_ports(rest, flow, packet.size());
    } catch (const Refused &refused) {
        flow.reason = refused.reason;
    }
    return flow;
}

} // namespace penstock::fuzz
