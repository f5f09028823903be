// SPDX-License-Identifier: Apache-2.0
#include "policy/network.h"

#include "policy/wording.h"

namespace penstock::policy {
namespace {

constexpr int v4_bits_before = 96; // of a v4-mapped address

// A decimal number without sign or leading zero, or -1.
int number(std::string_view text) {
    if (text.empty() || text.size() > 6 || (text.size() > 1 && text[0] == '0'))
        return -1;
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    return value;
}

Address masked(Address address, int length) {
    for (int i = 0; i < 16; ++i) {
        const int kept = length - i * 8;
        if (kept <= 0)
            address.octets[i] = 0;
        else if (kept < 8)
            address.octets[i] &= static_cast<std::uint8_t>(0xff << (8 - kept));
    }
    return address;
}

Outcome<std::uint16_t> port(std::string_view text) {
    const int value = number(text);
    if (value < 0)
        return Fault{quoted(text) + " is no port number; expected 1 to 65535"};
    if (value == 0 || value > 65535)
        return Fault{"port " + std::string(text) + " is out of range; expected 1 to 65535"};
    return static_cast<std::uint16_t>(value);
}

} // namespace

Outcome<Cidr> parse_cidr(std::string_view text) {
    const auto slash = text.find('/');
    const auto host = text.substr(0, slash);
    const auto address = Address::parse(host);
    if (!address)
        return Fault{quoted(host) + " is no address; expected one such as 10.1.0.0/16 or 2001:db8::/32"};
    const bool written_as_v4 = host.find(':') == host.npos;
    const int before = written_as_v4 ? v4_bits_before : 0;
    if (slash == text.npos)
        return Cidr{*address, 128};
    const int given = number(text.substr(slash + 1));
    if (given < 0 || given + before > 128)
        return Fault{quoted(text.substr(slash + 1)) + " is no prefix length; expected 0 to " +
                     (written_as_v4 ? "32" : "128")};
    const Cidr cidr{masked(*address, given + before), static_cast<std::uint8_t>(given + before)};
    if (cidr.address == *address)
        return cidr;
    return Fault{"the address has bits beyond its prefix length; the network is " + cidr.text() +
                 ", the address alone " + Cidr{*address, 128}.text()};
}

Outcome<PortRange> parse_port_range(std::string_view text) {
    const auto slash = text.find('/');
    const auto protocol = text.substr(0, slash);
    PortRange range;
    if (protocol == "icmp") {
        if (slash != text.npos)
            return Fault{"icmp has no ports; write icmp"};
        range.protocol = Protocol::icmp;
        return range;
    }
    if (protocol != "tcp" && protocol != "udp") {
        if (number(protocol.substr(0, protocol.find('-'))) >= 0)
            return Fault{"the protocol is missing; expected \"tcp/" + std::string(protocol) + "\" or \"udp/" +
                         std::string(protocol) + "\""};
        return Fault{"unknown protocol " + quoted(protocol) + "; expected tcp, udp or icmp"};
    }
    range.protocol = protocol == "tcp" ? Protocol::tcp : Protocol::udp;
    range.last = 65535; // first is 0: the whole protocol holds port 0 too, or a deny would leak it
    if (slash == text.npos)
        return range;
    const auto ports = text.substr(slash + 1);
    const auto dash = ports.find('-');
    const auto first = port(ports.substr(0, dash));
    if (!first)
        return first.error();
    const auto last = dash == ports.npos ? first : port(ports.substr(dash + 1));
    if (!last)
        return last.error();
    if (*first > *last)
        return Fault{"the range is reversed; expected " + std::to_string(*last) + "-" +
                     std::to_string(*first)};
    range.first = *first;
    range.last = *last;
    return range;
}

std::string port_text(const PortRange &range) {
    if (range.protocol == Protocol::icmp)
        return "icmp";
    std::string text = range.protocol == Protocol::tcp ? "tcp/" : "udp/";
    text += std::to_string(range.first);
    return range.first == range.last ? text : text + "-" + std::to_string(range.last);
}

} // namespace penstock::policy
