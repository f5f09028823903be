// SPDX-License-Identifier: Apache-2.0
// The kernel's parsers, built for the host: the same headers, so that sanitizers see what the verifier sees. Knows
// nothing of maps or policy.
#pragma once

#define PS_HOST 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast" // the headers are C
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "abi.h"
#include "lib/dns.h"
#pragma GCC diagnostic pop

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace penstock::bpf_host {

using Octets = std::vector<std::uint8_t>;

// The one scratch of the host build, zeroed.
struct scratch &fresh_scratch();

// A packet that ends exactly where its octets end, so that ASan sees every octet read too far.
struct Packet {
    explicit Packet(const Octets &octets, std::uint32_t gso_segs = 0);
    struct ps_packet view;

  private:
    std::unique_ptr<std::uint8_t[]> octets_;
};

// A DNS message from parts. `name` is dotted text; `raw_name` overrides it with wire octets.
struct Message {
    std::uint16_t id = 0x1234, flags = 0x0100, questions = 1, answers = 0, authorities = 0, additionals = 0;
    std::string name = "example.com";
    Octets raw_name = {};
    std::uint16_t type = 1, dns_class = 1;
    Octets tail = {};

    Octets octets() const;
};
Octets wire_name(const std::string &dotted);

// Reads a message as the egress hook does. The reason, 0 when the query may be judged.
int read_query(const Octets &message);
// The name read last, reversed, as it stands in the trie's key.
std::string name_read();

} // namespace penstock::bpf_host
