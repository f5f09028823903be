// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/names.h"

#include "userspace/telemetry/event.h"

#include "policy/model.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <utility>

namespace penstock::telemetry {
namespace {

template <std::size_t N>
std::string_view pick(const std::array<std::string_view, N> &names, std::size_t index) {
    return index < N ? names[index] : "unknown";
}

constexpr std::pair<std::uint16_t, const char *> query_types[] = {
    {1, "A"},       {2, "NS"},    {5, "CNAME"}, {6, "SOA"},    {12, "PTR"},   {13, "HINFO"}, {15, "MX"},
    {16, "TXT"},    {28, "AAAA"}, {33, "SRV"},  {35, "NAPTR"}, {39, "DNAME"}, {43, "DS"},    {46, "RRSIG"},
    {48, "DNSKEY"}, {52, "TLSA"}, {64, "SVCB"}, {65, "HTTPS"}, {99, "SPF"},   {255, "ANY"},  {257, "CAA"},
};

// Length of the UTF-8 sequence that begins here; 0 if none does (RFC 3629: no overlong, no surrogate).
std::size_t sequence_length(std::string_view text) {
    const auto octet = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = octet(0);
    if (first < 0x80)
        return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length)
        return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((octet(i) & 0xc0) != 0x80)
            return 0;
    const unsigned char second = octet(1);
    const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                     (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return bad ? 0 : length;
}

} // namespace

std::string_view verdict_name(std::uint8_t verdict) {
    return pick<5>({"none", "allow", "deny", "would-deny", "untold"}, verdict);
}

std::string_view direction_name(std::uint8_t direction) {
    return pick<2>({"egress", "ingress"}, direction);
}

std::string reason_name(std::uint8_t reason) {
    switch (reason) {
#define X(name, text)                                                                                        \
    case abi::PS_R_##name:                                                                                   \
        return text;
        PS_REASON_NAMES(X)
#undef X
    default:
        return "reason-" + std::to_string(reason);
    }
}

std::string_view hook_name(std::uint8_t hook) {
    return pick<9>(
        {"none", "egress", "ingress", "connect", "sendmsg", "sock-create", "lsm", "birth", "setsockopt"},
        hook);
}

std::string_view mode_name(std::uint8_t mode) {
    return pick<4>({"", "enforce", "audit", "open"}, mode);
}

std::string_view event_kind_name(std::uint8_t kind) {
    if (kind == event_flow)
        return "flow";
    if (kind == event_pressure)
        return "pressure";
    return kind == event_lost ? "lost"
                              : pick<6>({"unknown", "denied", "born", "dying", "released", "quota"}, kind);
}

std::string_view birth_name(std::uint16_t policy) {
    switch (policy) {
    case abi::PS_POLICY_BIRTH_DENY:
        return "deny";
    case abi::PS_POLICY_BIRTH_ALLOW:
        return "allow";
    case abi::PS_POLICY_BIRTH_AUDIT:
        return "audit";
    default:
        return "";
    }
}

std::string protocol_name(std::uint8_t protocol) {
    switch (protocol) {
    case 0:
        return "";
    case 1:
        return "icmp";
    case 6:
        return "tcp";
    case 17:
        return "udp";
    case 58:
        return "icmpv6";
    default:
        return std::to_string(protocol);
    }
}

std::string query_type_name(std::uint16_t type) {
    if (type == 0)
        return "";
    for (const auto &[number, name] : query_types)
        if (number == type)
            return name;
    return "TYPE" + std::to_string(type);
}

std::string address_text(const std::uint8_t (&octets)[16]) {
    policy::Address address;
    std::copy(std::begin(octets), std::end(octets), address.octets.begin());
    return address == policy::Address{} ? "" : address.text();
}

std::string hex_id(std::uint64_t id) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(id));
    return text;
}

std::string forward_name(std::string_view reversed) {
    while (!reversed.empty() && reversed.back() == '\0')
        reversed.remove_suffix(1);
    return {reversed.rbegin(), reversed.rend()};
}

std::string domain_name(const abi::ps_domain &domain) {
    const auto *text = reinterpret_cast<const char *>(domain.reversed);
    return forward_name({text, std::min<std::size_t>(domain.length, sizeof domain.reversed)});
}

std::string time_text(std::chrono::system_clock::time_point time) {
    const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
    const std::time_t seconds = static_cast<std::time_t>(milliseconds / 1000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[80];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                  static_cast<int>(milliseconds % 1000));
    return text;
}

std::string utf8_text(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    while (!text.empty()) {
        std::size_t length = sequence_length(text);
        if (length > 0) {
            clean += text.substr(0, length);
        } else {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(text[0]));
            clean += escaped;
            length = 1;
        }
        text.remove_prefix(length);
    }
    return clean;
}

} // namespace penstock::telemetry
