// SPDX-License-Identifier: Apache-2.0
// The policy as typed values: what a validated document means. Knows nothing of text, files,
// kernels or containers; parse.h and validate.h make it, compile.h and explain.h read it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock::policy {

// An address as the kernel sees it: 16 octets, network order, IPv4 as ::ffff:a.b.c.d.
struct Address {
    std::array<std::uint8_t, 16> octets{};
    auto operator<=>(const Address &) const = default;
    bool is_v4() const;                                    // v4-mapped
    static std::optional<Address> parse(std::string_view); // "10.0.0.1", "fd00::1", "::ffff:10.0.0.1" (= v4)
    std::string text() const;                              // v4-mapped prints as IPv4; IPv6 as RFC 5952
    // Loopback, link-local, metadata, RFC 1918, ULA, CGNAT, benchmarking, NAT64 of such; see address.cpp.
    bool is_private() const;
    // Never learned whatever the policy says: unspecified, multicast, broadcast, 0.0.0.0/8.
    bool is_never_learned() const;
    bool is_loopback() const; // 127.0.0.0/8, ::1
};

// A prefix; bits past `length` are zero. A v4 CIDR has a v4-mapped address and length 96..128.
struct Cidr {
    Address address;
    std::uint8_t length = 0;
    auto operator<=>(const Cidr &) const = default;
    bool contains(const Address &) const;
    static std::optional<Cidr> parse(std::string_view); // host bits set: refused; no length = host address
    std::string text() const;
};

// A domain pattern in canonical form: lower-case A-labels, no final dot.
struct NamePattern {
    enum class Kind : std::uint8_t { exact, below, every }; // example.com, *.example.com, *
    Kind kind = Kind::exact;
    std::string name; // "example.com"; empty for every
    auto operator<=>(const NamePattern &) const = default;
    bool matches(std::string_view canonical_name) const;
    std::string text() const;
};

enum class Protocol : std::uint8_t { tcp, udp, icmp }; // icmp is ICMP and ICMPv6

struct PortRange {
    Protocol protocol = Protocol::tcp;
    std::uint16_t first = 0; // icmp: 0..0
    std::uint16_t last = 0;
    auto operator<=>(const PortRange &) const = default;
};

struct Rate { // "10MiB/s burst 20MiB", "120/min burst 20"
    std::uint64_t amount = 0;
    std::uint64_t per_ns = 0;
    std::uint64_t burst = 0; // 0: not given
    auto operator<=>(const Rate &) const = default;
};
struct Quota {                                                       // "1GiB/24h", "1GiB/24h egress"
    static constexpr std::uint8_t egress = 1, ingress = 2, both = 3; // bit n: ps_direction n
    std::uint64_t bytes = 0;
    std::uint64_t window_s = 0;
    std::uint8_t directions = both;
    auto operator<=>(const Quota &) const = default;
};
struct Limits {
    std::optional<Rate> egress, ingress, connections, packets, queries;
    std::optional<Quota> quota;
    bool any() const { return egress || ingress || connections || packets || queries || quota; }
};

struct Rule {
    std::string name; // unique in its policy over allow and deny; given or "allow[0]"
    std::vector<NamePattern> domains;
    std::vector<Cidr> cidrs;
    std::vector<PortRange> ports;      // empty: every port of tcp and udp
    std::optional<bool> learn_private; // allow rules with domains; else the policy's
    Limits limits;
};

// Entries of `select` are OR, fields of an entry AND. Strings are globs: * within a path or name
// component, ** over components (cgroup only), ? one character.
struct Selector {
    std::optional<std::string> cgroup, runtime, name, image, ns, pod, unit;
    std::map<std::string, std::string> labels;
};

enum class Mode : std::uint8_t { enforce, audit };

struct Dns {
    bool resolvers_any = false;
    std::optional<std::vector<Address>> resolvers;  // absent: the host's own and the runtime's
    std::optional<std::vector<std::string>> search; // absent: the host's; canonical names
    std::optional<Rate> queries;
    std::uint32_t min_ttl_s = 30;
    bool learn_private = false;
};

struct Policy {
    std::string name; // metadata.name
    std::vector<Selector> select;
    Mode mode = Mode::enforce;
    Dns dns;
    std::vector<Rule> allow, deny;
    Limits limits;
    bool inbound_allowed = true;
    bool loopback_allowed = true;
    bool logs_flows = false;
};

} // namespace penstock::policy
