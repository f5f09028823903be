// SPDX-License-Identifier: Apache-2.0
// Longest-prefix look-ups over an image, one probe for each length that could be there. Written apart from the
// kernel's tries on purpose: it shares only the form of the keys.
#include "policy/explain.h"

#include <algorithm>
#include <charconv>

namespace penstock::policy {

namespace {

// image.names is ordered by length, longest first, then by text.
const abi::ps_match *find_key(const Image &image, std::string_view key) {
    const auto before = [](const NameEntry &entry, std::string_view wanted) {
        return entry.reversed.size() != wanted.size() ? entry.reversed.size() > wanted.size()
                                                      : entry.reversed < wanted;
    };
    const auto place = std::lower_bound(image.names.begin(), image.names.end(), key, before);
    return place != image.names.end() && place->reversed == key ? &place->match : nullptr;
}

std::optional<std::uint8_t> decimal_octet(std::string_view label) {
    std::uint8_t value = 0;
    const auto [end, error] = std::from_chars(label.data(), label.data() + label.size(), value);
    const bool leading_zero = label.size() > 1 && label.front() == '0';
    if (error != std::errc{} || end != label.data() + label.size() || leading_zero)
        return std::nullopt;
    return value;
}

std::optional<Address> reverse_v4(std::string_view labels) {
    Address address;
    address.octets[10] = address.octets[11] = 0xff;
    for (std::size_t i = 16; i-- > 12;) {
        const auto dot = labels.find('.');
        if ((dot == labels.npos) != (i == 12))
            return std::nullopt;
        const auto octet = decimal_octet(labels.substr(0, dot));
        if (!octet)
            return std::nullopt;
        address.octets[i] = *octet;
        labels.remove_prefix(dot == labels.npos ? labels.size() : dot + 1);
    }
    return address;
}

std::optional<Address> reverse_v6(std::string_view labels) {
    if (labels.size() != 63)
        return std::nullopt;
    Address address;
    for (std::size_t i = 0; i < 63; ++i) {
        if (i % 2 == 1) {
            if (labels[i] != '.')
                return std::nullopt;
            continue;
        }
        const char digit = labels[i];
        const bool is_digit = digit >= '0' && digit <= '9', is_letter = digit >= 'a' && digit <= 'f';
        if (!is_digit && !is_letter)
            return std::nullopt;
        const int value = is_digit ? digit - '0' : digit - 'a' + 10;
        const auto nibble = i / 2; // 0 is the lowest nibble of the last octet
        address.octets[15 - nibble / 2] |= static_cast<std::uint8_t>(value << (nibble % 2 * 4));
    }
    return address;
}

} // namespace

std::optional<abi::ps_match> find_name(const Image &image, std::string_view canonical_name) {
    std::string key(canonical_name.rbegin(), canonical_name.rend());
    key += '\0';
    if (const auto *exact = find_key(image, key))
        return *exact;
    for (auto size = key.size() - 1; size > 0; --size)
        if (key[size - 1] == '.')
            if (const auto *below = find_key(image, std::string_view(key).substr(0, size)))
                return *below;
    const auto *every = find_key(image, "");
    return every ? std::optional(*every) : std::nullopt;
}

std::optional<abi::ps_match> find_address(const Image &image, const Address &address) {
    // image.cidrs is ordered by length, longest first.
    for (const auto &entry : image.cidrs)
        if (entry.cidr.contains(address))
            return entry.match;
    return std::nullopt;
}

std::optional<abi::ps_port_rule> find_port(const Image &image, std::uint64_t rule_set, std::uint8_t protocol,
                                           std::uint16_t port) {
    const auto set = image.rule_sets.find(rule_set);
    if (set == image.rule_sets.end())
        return std::nullopt;
    const PortEntry *best = nullptr;
    for (const auto &entry : set->second) {
        const unsigned ignored = 16U - entry.prefix_bits;
        if (entry.protocol == protocol && entry.port >> ignored == port >> ignored &&
            (!best || entry.prefix_bits > best->prefix_bits))
            best = &entry;
    }
    return best ? std::optional(best->rule) : std::nullopt;
}

std::optional<Address> reverse_address(std::string_view canonical_name) {
    constexpr std::string_view v4 = ".in-addr.arpa", v6 = ".ip6.arpa";
    if (canonical_name.ends_with(v4))
        return reverse_v4(canonical_name.substr(0, canonical_name.size() - v4.size()));
    if (canonical_name.ends_with(v6))
        return reverse_v6(canonical_name.substr(0, canonical_name.size() - v6.size()));
    return std::nullopt;
}

} // namespace penstock::policy
