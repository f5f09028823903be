// SPDX-License-Identifier: Apache-2.0
// Addresses and CIDRs: text forms and what kinds of addresses there are. Owns the list of private networks of
// user space; bpf/ holds its own and tests/differential compares the two.
#include "policy/model.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace penstock::policy {

namespace {

using Octets = std::array<std::uint8_t, 16>;

bool same_prefix(const Octets &a, const Octets &b, unsigned bits) {
    const auto whole = bits / 8;
    if (!std::equal(a.begin(), a.begin() + whole, b.begin()))
        return false;
    const auto rest = bits % 8;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

enum class Class { open, priv, never };

struct Net {
    const char *text;
    Class kind;
};

// The first that holds the address counts. IANA's special-purpose registries, as far as an answer that names such
// an address would be rebinding; documentation networks are ordinary.
constexpr Net special_nets[] = {
    {"0.0.0.0/8", Class::never},     {"224.0.0.0/4", Class::never},
    {"240.0.0.0/4", Class::never}, // 255.255.255.255 too
    {"10.0.0.0/8", Class::priv},     {"172.16.0.0/12", Class::priv},
    {"192.168.0.0/16", Class::priv}, {"127.0.0.0/8", Class::priv},
    {"169.254.0.0/16", Class::priv}, // most clouds' metadata too
    {"100.64.0.0/10", Class::priv},  {"192.0.0.0/24", Class::priv},
    {"198.18.0.0/15", Class::priv},  {"168.63.129.16/32", Class::priv}, // Azure's metadata
    {"::1/128", Class::priv},        {"::/96", Class::never},
    {"ff00::/8", Class::never},      {"fc00::/7", Class::priv},
    {"fe80::/10", Class::priv},      {"fec0::/10", Class::priv},
    {"64:ff9b:1::/48", Class::priv},
};

Class listed_class(const Address &address) {
    static const auto nets = [] {
        std::vector<std::pair<Cidr, Class>> parsed;
        for (const auto &net : special_nets)
            parsed.emplace_back(*Cidr::parse(net.text), net.kind);
        return parsed;
    }();
    const auto place =
        std::find_if(nets.begin(), nets.end(), [&](const auto &net) { return net.first.contains(address); });
    return place == nets.end() ? Class::open : place->second;
}

Address embedded_v4(const Octets &octets, std::size_t offset) {
    Address address;
    address.octets[10] = address.octets[11] = 0xff;
    std::copy_n(octets.begin() + offset, 4, address.octets.begin() + 12);
    return address;
}

// Translated addresses (NAT64, 6to4) reach the IPv4 address inside them.
Class class_of(const Address &address) {
    static constexpr Octets nat64{0, 0x64, 0xff, 0x9b}, six_to_four{0x20, 0x02};
    if (same_prefix(address.octets, nat64, 96))
        return listed_class(embedded_v4(address.octets, 12));
    if (same_prefix(address.octets, six_to_four, 16))
        return listed_class(embedded_v4(address.octets, 2));
    return listed_class(address);
}

// The longest run of two or more zero groups, as RFC 5952 has it: {start, length}, length 0 if none.
std::pair<int, int> zero_run(const std::array<unsigned, 8> &groups) {
    std::pair<int, int> best{0, 0};
    for (int start = 0; start < 8; ++start) {
        int end = start;
        while (end < 8 && groups[static_cast<std::size_t>(end)] == 0)
            ++end;
        if (end - start > best.second && end - start > 1)
            best = {start, end - start};
    }
    return best;
}

std::string v6_text(const Octets &octets) {
    std::array<unsigned, 8> groups;
    for (std::size_t i = 0; i < 8; ++i)
        groups[i] = static_cast<unsigned>(octets[2 * i] << 8 | octets[2 * i + 1]);
    const auto [start, length] = zero_run(groups);
    std::string text;
    for (int i = 0; i < 8; ++i) {
        if (length > 0 && i == start) {
            text += "::";
            i += length - 1;
            continue;
        }
        if (!text.empty() && text.back() != ':')
            text += ':';
        char digits[4];
        const auto end = std::to_chars(digits, digits + 4, groups[static_cast<std::size_t>(i)], 16).ptr;
        text.append(digits, end);
    }
    return text;
}

std::optional<unsigned> parse_length(std::string_view text, unsigned limit) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool leading_zero = text.size() > 1 && text.front() == '0';
    if (error != std::errc{} || end != text.data() + text.size() || value > limit || leading_zero)
        return std::nullopt;
    return value;
}

} // namespace

bool Address::is_v4() const {
    static constexpr Octets mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(octets.begin(), octets.begin() + 12, mapped.begin());
}

std::optional<Address> Address::parse(std::string_view text) {
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.size() >= sizeof copy || text.find('\0') != text.npos)
        return std::nullopt;
    copy[text.copy(copy, text.size())] = '\0';
    Address address;
    if (text.find(':') != text.npos) {
        if (inet_pton(AF_INET6, copy, address.octets.data()) != 1)
            return std::nullopt;
        return address;
    }
    address.octets[10] = address.octets[11] = 0xff;
    if (inet_pton(AF_INET, copy, address.octets.data() + 12) != 1)
        return std::nullopt;
    return address;
}

std::string Address::text() const {
    if (!is_v4())
        return v6_text(octets);
    std::string text;
    for (std::size_t i = 12; i < 16; ++i)
        text += (i == 12 ? "" : ".") + std::to_string(octets[i]);
    return text;
}

bool Address::is_loopback() const {
    static constexpr Octets one{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return is_v4() ? octets[12] == 127 : octets == one;
}

bool Address::is_private() const {
    return class_of(*this) == Class::priv;
}

bool Address::is_never_learned() const {
    return class_of(*this) == Class::never;
}

bool Cidr::contains(const Address &other) const {
    // The families are two tries: ::/0 does not hold 10.0.0.1, although its mapped form starts with zeros.
    return address.is_v4() == other.is_v4() && same_prefix(address.octets, other.octets, length);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    if (!address)
        return std::nullopt;
    Cidr cidr{*address, 128};
    if (slash != text.npos) {
        const unsigned base = text.find(':') == text.npos ? 96 : 0;
        const auto length = parse_length(text.substr(slash + 1), 128 - base);
        if (!length)
            return std::nullopt;
        cidr.length = static_cast<std::uint8_t>(base + *length);
    }
    // A mapped address with a length under 96 has ::ffff as host bits and ends here too.
    for (unsigned bit = cidr.length; bit < 128; ++bit)
        if (cidr.address.octets[bit / 8] >> (7 - bit % 8) & 1)
            return std::nullopt;
    return cidr;
}

std::string Cidr::text() const {
    return address.text() + '/' + std::to_string(address.is_v4() ? length - 96 : length);
}

} // namespace penstock::policy
