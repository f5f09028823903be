// SPDX-License-Identifier: Apache-2.0
// Single values of a policy: names, patterns, addresses, networks, ports, rates. Input: an octet that picks the grammar,
// then the text. The reference is libc for addresses, libidn2's way back for names, and each printer's way back.
#include "policy/canonical_name.h"
#include "policy/limit_text.h"
#include "policy/network.h"
#include "policy/units.h"
#include "tests/fuzz/property.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <idn2.h>
#include <vector>

using namespace penstock;
using namespace penstock::fuzz;

namespace {

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

std::string to_unicode(const std::string &label) {
    char *out = nullptr;
    require(idn2_to_unicode_8z8z(label.c_str(), &out, IDN2_NO_TR46) == IDN2_OK,
            "an A-label that was made goes back");
    std::string unicode(out);
    idn2_free(out);
    return unicode;
}

// Is it what normalisation (NFC) leaves as it is? Latin-1 is.
bool is_latin(std::string_view text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) >= 0xc4; });
}

std::vector<std::string> labels_of(const std::string &name) {
    std::vector<std::string> labels(1);
    for (const char c : name)
        if (c == '.')
            labels.emplace_back();
        else
            labels.back() += c;
    return labels;
}

void check_labels(const std::string &name, const std::string &folded_text) {
    const auto made = labels_of(name), written = labels_of(folded_text);
    require(made.size() == written.size(), "a name has the text's labels");
    for (std::size_t i = 0; i < made.size(); ++i)
        if (made[i] != written[i] && is_latin(written[i]))
            require(to_unicode(made[i]) == written[i], "a label is the text folded, or goes back to it");
}

std::string folded(std::string text) {
    for (char &c : text)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return text;
}

void check_name(const std::string &text) {
    const auto name = policy::canonical_name(text);
    if (!name) {
        require(!name.error().message.empty(), "a refused name has a reason");
        return;
    }
    require(!name->empty() && name->size() <= 253 && name->back() != '.', "a name fits the key");
    require(name->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == name->npos,
            "a name has letters, digits, - and _ only");
    require(!has_control(text), "no name is made of a text with control characters");
    const auto again = policy::canonical_name(*name);
    require(again && *again == *name, "a canonical name is its own canonical form");
    auto plain = folded(text);
    if (plain.back() == '.')
        plain.pop_back();
    check_labels(*name, plain);
    const auto below = policy::parse_name_pattern("*." + text);
    require(below && below->name == *name && below->matches("x." + *name) && !below->matches(*name),
            "*.name is what is below the name");
}

void check_pattern(const std::string &text) {
    const auto pattern = policy::parse_name_pattern(text);
    if (!pattern)
        return;
    const auto again = policy::parse_name_pattern(pattern->text());
    require(again && *again == *pattern, "a pattern's text is the pattern");
    require(text.find('*') == text.npos || text[0] == '*', "a * inside is no pattern");
}

// libc's reader, asked for the whole text (it stops at a NUL).
bool libc_reads(int family, const std::string &text, std::uint8_t *into) {
    return std::strlen(text.c_str()) == text.size() && ::inet_pton(family, text.c_str(), into) == 1;
}

void check_address(const std::string &text) {
    std::uint8_t octets[16] = {};
    bool expected = libc_reads(AF_INET6, text, octets);
    if (!expected && libc_reads(AF_INET, text, octets + 12)) {
        expected = true;
        std::memset(octets, 0, 10);
        octets[10] = octets[11] = 0xff;
    }
    const auto address = policy::Address::parse(text);
    require(address.has_value() == expected, "an address is what libc takes for one");
    if (!address)
        return;
    require(!std::memcmp(address->octets.data(), octets, 16), "the address is libc's");
    require(policy::Address::parse(address->text()) == address, "an address's text is the address");
    char libc_text[INET6_ADDRSTRLEN];
    if (!address->is_v4() && ::inet_ntop(AF_INET6, octets, libc_text, sizeof libc_text) &&
        !std::strchr(libc_text, '.'))
        require(address->text() == libc_text, "IPv6 prints as RFC 5952 says");
}

void check_cidr(const std::string &text) {
    const auto cidr = policy::parse_cidr(text);
    const auto strict = policy::Cidr::parse(text);
    require(!strict || (cidr && *cidr == *strict), "the two readers of networks agree");
    if (!cidr)
        return;
    require(cidr->length <= 128 && cidr->contains(cidr->address), "a network holds its address");
    const auto again = policy::parse_cidr(cidr->text());
    require(again && *again == *cidr, "a network's text is the network");
}

void check_ports(const std::string &text) {
    const auto range = policy::parse_port_range(text);
    if (!range)
        return;
    require(range->first <= range->last, "a range is not reversed");
    if (range->protocol == policy::Protocol::icmp)
        require(range->first == 0 && range->last == 0, "icmp has no ports");
    else
        require(range->last > 0 && (range->first > 0 || text == "tcp" || text == "udp"),
                "port 0 is only in a whole protocol");
}

void check_units(const std::string &text) {
    for (const auto quantity :
         {policy::Quantity::octets, policy::Quantity::packets, policy::Quantity::count}) {
        const auto rate = policy::parse_rate(text, quantity);
        if (!rate)
            continue;
        require(rate->amount > 0 && rate->per_ns > 0 && rate->per_ns % 1'000'000'000 == 0,
                "a rate is above zero, per whole seconds");
        const auto bucket = policy::bucket_of(*rate, quantity);
        require(bucket.cost > 0 && bucket.shift <= 20, "a unit costs something");
        require(bucket.cost < 1ULL << (quantity == policy::Quantity::octets    ? 43
                                       : quantity == policy::Quantity::packets ? 53
                                                                               : 63),
                "the most units at once do not overflow");
        require(*policy::parse_rate(policy::rate_text(*rate, quantity), quantity) == *rate,
                "a rate's text is the rate");
    }
    const auto quota = policy::parse_quota(text);
    if (quota) {
        require(quota->bytes > 0 && quota->bytes >> 48 == 0 && quota->window_s > 0, "a quota is above zero");
        require(*policy::parse_quota(policy::quota_text(*quota)) == *quota, "a quota's text is the quota");
    }
    const auto seconds = policy::parse_seconds(text);
    if (seconds)
        require(*seconds > 0 && *seconds <= 365 * 86400, "a time is at most a year");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    static void (*const checks[])(const std::string &) = {check_name, check_pattern, check_address,
                                                          check_cidr, check_ports,   check_units};
    if (size < 1)
        return 0;
    checks[data[0] % std::size(checks)](std::string(data + 1, data + size));
    return 0;
}
