// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/packet.h"

#include <cstring>
#include <sstream>

namespace penstock::differential {

namespace {

constexpr std::uint8_t ip_tcp = 6, ip_udp = 17;

void put16(Octets &out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

void put32(Octets &out, std::uint32_t value) {
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}

void append(Octets &out, const Octets &more) {
    out.insert(out.end(), more.begin(), more.end());
}

Octets segment(const Ends &ends, std::uint8_t protocol, const Octets &payload) {
    Octets out;
    if (protocol == ip_tcp || protocol == ip_udp) {
        put16(out, ends.from_port);
        put16(out, ends.to_port);
    }
    if (protocol == ip_tcp) {
        put32(out, 1);
        put32(out, payload.empty() ? 0 : 1);
        put16(out, payload.empty() ? 0x5002 : 0x5018); // 5 words; SYN, or PSH and ACK
        put16(out, 65535);
        put32(out, 0);
    } else if (protocol == ip_udp) {
        put16(out, 8 + payload.size());
        put16(out, 0);
    }
    append(out, payload);
    return out;
}

void put_v4(Octets &out, const policy::Address &address) {
    out.insert(out.end(), address.octets.begin() + 12, address.octets.end());
}

void put_v6(Octets &out, const policy::Address &address) {
    out.insert(out.end(), address.octets.begin(), address.octets.end());
}

bool is_loopback(const std::uint8_t *address, std::size_t length) {
    static const std::uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return length == 4 ? address[0] == 127 : std::memcmp(address, one, 16) == 0;
}

} // namespace

Octets frame(const Ends &ends, std::uint8_t protocol, const Octets &payload) {
    const auto body = segment(ends, protocol, payload);
    const bool v4 = ends.to.is_v4();
    Octets out(12, 2); // two unicast hardware addresses
    put16(out, v4 ? 0x0800 : 0x86dd);
    if (v4) {
        put16(out, 0x4500);
        put16(out, 20 + body.size());
        put32(out, 0);
        out.push_back(64);
        out.push_back(protocol);
        put16(out, 0);
        put_v4(out, ends.from);
        put_v4(out, ends.to);
    } else {
        put32(out, 0x60000000);
        put16(out, body.size());
        out.push_back(protocol);
        out.push_back(64);
        put_v6(out, ends.from);
        put_v6(out, ends.to);
    }
    append(out, body);
    return out;
}

bool is_over_lo(const Octets &frame) {
    const auto *ip = frame.data() + 14; // after the link header
    if (frame.size() >= 14 + 20 && ip[0] >> 4 == 4)
        return is_loopback(ip + 12, 4) || is_loopback(ip + 16, 4);
    return frame.size() >= 14 + 40 && (is_loopback(ip + 8, 16) || is_loopback(ip + 24, 16));
}

Octets dns_query(std::uint16_t id, const std::string &canonical_name, std::uint16_t type) {
    Octets out;
    put16(out, id);
    put16(out, 0x0100); // recursion desired
    put16(out, 1);
    put32(out, 0);
    put16(out, 0);
    std::istringstream labels(canonical_name);
    for (std::string label; std::getline(labels, label, '.');) {
        out.push_back(static_cast<std::uint8_t>(label.size()));
        out.insert(out.end(), label.begin(), label.end());
    }
    out.push_back(0);
    put16(out, type);
    put16(out, 1);
    return out;
}

Octets dns_answer(const Octets &query, const std::vector<policy::Address> &addresses, std::uint32_t ttl_s) {
    Octets out = query;
    out[2] = 0x81; // a response
    out[3] = 0x80;
    out[7] = static_cast<std::uint8_t>(addresses.size());
    for (const auto &address : addresses) {
        put16(out, 0xc00c); // the question's name
        put16(out, address.is_v4() ? type_a : type_aaaa);
        put16(out, 1);
        put32(out, ttl_s);
        put16(out, address.is_v4() ? 4 : 16);
        address.is_v4() ? put_v4(out, address) : put_v6(out, address);
    }
    return out;
}

Octets dns_answer(const Octets &query, const policy::Address &address, std::uint32_t ttl_s) {
    return dns_answer(query, std::vector{address}, ttl_s);
}

Octets with_length(const Octets &message) {
    Octets out;
    put16(out, message.size());
    append(out, message);
    return out;
}

} // namespace penstock::differential
