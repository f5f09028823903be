// SPDX-License-Identifier: Apache-2.0
// The L3/L4 walk, octet by octet, and the address classes against the oracle's own list.
#include "tests/bpf_host/parsers.h"

#include "policy/model.h"

#include <catch2/catch.hpp>

#include <cstring>
#include <random>

namespace penstock::bpf_host {
namespace {

Octets v4(std::uint8_t protocol, std::size_t payload, std::uint16_t fragment = 0, std::uint8_t first = 0x45) {
    Octets ip = {first,
                 0,
                 0,
                 0,
                 0,
                 0,
                 static_cast<std::uint8_t>(fragment >> 8),
                 static_cast<std::uint8_t>(fragment),
                 64,
                 protocol,
                 0,
                 0,
                 10,
                 0,
                 0,
                 1,
                 192,
                 0,
                 2,
                 7};
    ip.resize(20 + payload);
    return ip;
}

Octets v6(const std::vector<std::uint8_t> &next,
          std::size_t payload) { // next: types of the headers, last is L4
    Octets ip(40);
    ip[0] = 0x60;
    ip[6] = next.front();
    for (std::size_t i = 1; i < next.size(); i++) {
        ip.push_back(next[i]);
        ip.resize(ip.size() + 7); // length 0: 8 octets
    }
    ip.resize(ip.size() + payload);
    return ip;
}

int read(const Octets &octets, struct flow &f, std::uint8_t direction = PS_EGRESS,
         std::uint32_t segments = 0) {
    Packet packet(octets, segments);
    f = {};
    f.direction = direction;
    return packet__read(&packet.view, &f);
}

} // namespace

TEST_CASE("a UDP packet gives its addresses, ports and payload, as seen from the container") {
    Octets udp = v4(17, 8 + 5);
    udp[20] = 0x30, udp[21] = 0x39, udp[23] = 53;
    struct flow f;
    REQUIRE(read(udp, f) == 0);
    CHECK(address__v4(&f.local) == 0x0a000001);
    CHECK(address__v4(&f.remote) == 0xc0000207);
    CHECK(f.local_port == 12345);
    CHECK(f.remote_port == 53);
    CHECK(f.payload_offset == 28);
    CHECK(f.payload_length == 5);
    CHECK(f.length == 33);
    REQUIRE(read(udp, f, PS_INGRESS) == 0);
    CHECK(address__v4(&f.remote) == 0x0a000001);
    CHECK(f.remote_port == 12345);
}

TEST_CASE("how much stands before L4 is told, of protocols without ports, too") {
    struct flow f;
    REQUIRE(read(v4(47, 4), f) == 0);
    CHECK(f.l4_offset == 20);
    for (const std::uint8_t protocol : {std::uint8_t{17}, std::uint8_t{58}}) {
        REQUIRE(read(v6({protocol}, 8), f) == 0);
        CHECK(f.l4_offset == 40);
        REQUIRE(read(v6({0, 60, protocol}, 8), f) == 0);
        CHECK(f.l4_offset == 56);
    }
}

TEST_CASE("every segment's headers are counted") {
    Octets tcp = v4(6, 20 + 3000);
    tcp[32] = 0x50;
    struct flow f;
    REQUIRE(read(tcp, f, PS_EGRESS, 3) == 0);
    CHECK(f.length == 3040 + 2 * 40);
}

TEST_CASE("packets that hide what they are get a reason") {
    Octets short_tcp = v4(6, 19), bad_offset = v4(6, 20), long_offset = v4(6, 20);
    bad_offset[32] = 0x40;
    long_offset[32] = 0xf0;
    struct {
        const char *what;
        Octets octets;
        int reason;
    } const cases[] = {
        {"empty", {}, PS_R_TRUNCATED},
        {"version 5", {0x55}, PS_R_NOT_IP},
        {"half a header", Octets(19, 0x45), PS_R_TRUNCATED},
        {"options", v4(17, 8, 0, 0x46), PS_R_IP_OPTIONS},
        {"header length 4", v4(17, 8, 0, 0x44), PS_R_TRUNCATED},
        {"first fragment", v4(17, 8, 0x2000), PS_R_FRAGMENT},
        {"later fragment", v4(17, 8, 0x0001), PS_R_FRAGMENT},
        {"don't fragment", v4(17, 8, 0x4000), 0},
        {"UDP of 7 octets", v4(17, 7), PS_R_TRUNCATED},
        {"TCP of 19 octets", short_tcp, PS_R_TRUNCATED},
        {"TCP data offset 4", bad_offset, PS_R_TRUNCATED},
        {"TCP data offset past the end", long_offset, PS_R_TRUNCATED},
        {"GRE", v4(47, 4), 0},
        {"IPv6 UDP", v6({17}, 8), 0},
        {"IPv6 hop-by-hop and destination options", v6({0, 60, 17}, 8), 0},
        {"IPv6 eight headers", v6({60, 60, 60, 60, 60, 60, 60, 60, 17}, 8), PS_R_EXTENSION_HEADER},
        {"IPv6 routing", v6({43, 17}, 8), PS_R_EXTENSION_HEADER},
        {"IPv6 fragment", v6({44, 17}, 8), PS_R_FRAGMENT},
        {"IPv6 fragment behind options", v6({0, 44, 17}, 8), PS_R_FRAGMENT},
        {"IPv6 AH", v6({51, 17}, 8), PS_R_EXTENSION_HEADER},
        {"IPv6 options cut off", v6({0}, 1), PS_R_TRUNCATED},
    };
    for (const auto &c : cases) {
        struct flow f;
        INFO(c.what);
        CHECK(read(c.octets, f) == c.reason);
    }
}

TEST_CASE("no octets make the walk read out of bounds") {
    std::mt19937 random(7);
    for (int i = 0; i < 300'000; i++) {
        Octets octets(random() % 96);
        for (auto &octet : octets)
            octet = static_cast<std::uint8_t>(random());
        if (!octets.empty())
            octets[0] = random() % 2 ? 0x45 : 0x60;
        if (octets.size() > 9)
            octets[octets[0] == 0x45 ? 9 : 6] = random() % 2 ? 6 : 0;
        struct flow f;
        if (read(octets, f) == 0 && (f.protocol == 6 || f.protocol == 17))
            REQUIRE(f.payload_offset + f.payload_length == octets.size());
    }
}

TEST_CASE("the kernel's address classes are the oracle's") {
    std::mt19937 random(11);
    const std::uint8_t firsts[] = {0, 10, 100, 127, 169, 172, 192, 198, 203, 224, 240, 255};
    for (int i = 0; i < 400'000; i++) {
        union ps_address a = {};
        if (i % 2) {
            address__from_v4(&a, static_cast<__u32>(firsts[random() % std::size(firsts)]) << 24 |
                                     static_cast<__u32>(random() & (i % 3 ? 0xffffff : 0x1fffff)));
        } else {
            const std::uint16_t heads[] = {0,      0x0064, 0x2001, 0x2002, 0xfc00,
                                           0xfd12, 0xfe80, 0xfebf, 0xfec0, 0xff02};
            const std::uint16_t head = heads[random() % std::size(heads)];
            a.octets[0] = static_cast<__u8>(head >> 8), a.octets[1] = static_cast<__u8>(head);
            if (head == 0x0064)
                a.octets[2] = 0xff, a.octets[3] = 0x9b, a.octets[5] = static_cast<__u8>(random() % 2);
            for (int k = head == 0x2002 ? 2 : 12; k < 16; k++)
                a.octets[k] =
                    random() % 3 ? static_cast<__u8>(random()) : firsts[random() % std::size(firsts)];
        }
        policy::Address oracle;
        std::memcpy(oracle.octets.data(), a.octets, 16);
        const int expected = oracle.is_never_learned() ? ADDRESS_NEVER
                             : oracle.is_private()     ? ADDRESS_PRIVATE
                                                       : ADDRESS_PUBLIC;
        INFO(oracle.text());
        REQUIRE(address__class(&a) == expected);
    }
}

TEST_CASE("a datagram is counted with the headers of every piece that IP cuts it into") {
    const auto pieces = [](std::uint64_t cut) { return std::pair(cut >> 32, cut & 0xffffffff); };
    using Cut = std::pair<std::uint64_t, std::uint64_t>;
    CHECK(pieces(packet__fragments(1500, 1500, 1)) == Cut{1, 1500});
    CHECK(pieces(packet__fragments(1501, 1500, 1)) == Cut{2, 1521});
    CHECK(pieces(packet__fragments(8028, 1500, 1)) ==
          Cut{6, 8128}); // measured: 6 fragments (facts, section 8)
    CHECK(pieces(packet__fragments(8048, 1500, 0)) == Cut{6, 8296});
    CHECK(pieces(packet__fragments(65535, 1500, 1)) == Cut{45, 66415});
    CHECK(pieces(packet__fragments(9000, 0, 1)) == Cut{1, 9000}); // the device is not known
}

} // namespace penstock::bpf_host
