// SPDX-License-Identifier: Apache-2.0
// The kernel's packet walk against the naive one. Input: an octet (bit 0: ingress; the others: segments), then a packet.
#include "tests/bpf_host/parsers.h"
#include "tests/fuzz/naive_packet.h"
#include "tests/fuzz/property.h"

#include <cstring>

using namespace penstock;
using namespace penstock::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    if (size < 1)
        return 0;
    const bool ingress = data[0] & 1;
    const std::uint32_t segments = data[0] >> 1;
    const bpf_host::Octets octets(data + 1, data + size);
    bpf_host::Packet packet(octets, segments);
    struct flow f = {};
    f.direction = ingress ? PS_INGRESS : PS_EGRESS;
    const int reason = packet__read(&packet.view, &f);
    const NaiveFlow naive = read_packet(octets);

    require_equal(reason, naive.reason, "reason");
    if (reason) {
        require(f.length == octets.size(), "a refused packet is counted with its own octets");
        return 0;
    }
    const auto &source = ingress ? f.remote : f.local, &destination = ingress ? f.local : f.remote;
    require(!std::memcmp(source.octets, naive.source.data(), 16), "the source address");
    require(!std::memcmp(destination.octets, naive.destination.data(), 16), "the destination address");
    require_equal(f.protocol, naive.protocol, "protocol");
    require_equal(ingress ? f.remote_port : f.local_port, naive.source_port, "source port");
    require_equal(ingress ? f.local_port : f.remote_port, naive.destination_port, "destination port");
    require_equal(f.tcp_flags, naive.tcp_flags, "TCP flags");
    require_equal(f.payload_offset, naive.payload_offset, "payload offset");
    require_equal(f.payload_length, naive.payload_length, "payload length");
    require(!naive.has_ports || f.payload_offset + f.payload_length == octets.size(),
            "the payload ends where the packet ends");
    const auto repeated = naive.has_ports && segments > 1 ? (segments - 1) * naive.headers : 0;
    require_equal(f.length, static_cast<long long>(octets.size()) + repeated,
                  "octets, every segment's headers counted");
    return 0;
}
