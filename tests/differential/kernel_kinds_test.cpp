// SPDX-License-Identifier: Apache-2.0
// bpf/lib/address.h and policy/address.cpp hold a list of special networks each: they must say the same at every edge.
#include "tests/differential/kernel_gate.h"
#include "tests/differential/teacher.h"
#include "tests/differential/worker.h"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <stdexcept>

using namespace penstock;
using namespace penstock::differential;
using policy::Address;

namespace {

constexpr std::uint8_t ip_udp = 17;
constexpr KernelGate::PolicyId teacher_id = abi::PS_POLICY_FIRST;

Address parsed(const char *text) {
    return *Address::parse(text);
}

// The first or last address of a network, or the one before or after it.
Address edge_of(const policy::Cidr &cidr, bool last, bool outside) {
    auto address = cidr.address;
    for (std::size_t n = cidr.length; last && n < 128; ++n)
        address.octets[n / 8] |= static_cast<std::uint8_t>(1U << (7 - n % 8));
    for (std::size_t i = 16; outside && i-- > 0;) {
        address.octets[i] = static_cast<std::uint8_t>(address.octets[i] + (last ? 1 : -1));
        outside = address.octets[i] == (last ? 0x00 : 0xff); // carry
    }
    return address;
}

void compare_kind(KernelGate &gate, const Address &address) {
    const Ends out{parsed("198.51.100.77"), parsed("203.0.113.53"), 4000, 53},
        back{out.to, out.from, 53, 4000};
    const auto query = dns_query(1, "a.example", address.is_v4() ? type_a : type_aaaa);
    if (!gate.egress(frame(out, ip_udp, query)) ||
        !gate.ingress(frame(back, ip_udp, dns_answer(query, address, 300))))
        throw std::runtime_error("the teacher's query or answer was dropped\n" + gate.counters());
    const auto learned = gate.learned_names(address);
    if (learned != (address.is_never_learned() ? 0 : 1) ||
        (learned && gate.is_private(address) != address.is_private()))
        throw std::runtime_error(address.text() + ": kernel and model disagree on its kind\n" +
                                 gate.counters());
    gate.forget(address);
}

// First and last address of each special network and their neighbours outside: learned, and as private, as the model has it.
void compare_kinds(const Surroundings &surroundings) {
    KernelGate gate(surroundings.cgroup_id, surroundings.ifindex);
    gate.write(teacher_id, teacher());
    gate.bind(teacher_id);
    for (const char *text : {"0.0.0.0/8",
                             "10.0.0.0/8",
                             "100.64.0.0/10",
                             "127.0.0.0/8",
                             "169.254.0.0/16",
                             "172.16.0.0/12",
                             "192.0.0.0/24",
                             "192.168.0.0/16",
                             "198.18.0.0/15",
                             "224.0.0.0/4",
                             "240.0.0.0/4",
                             "168.63.129.16/32",
                             "::/128",
                             "::1/128",
                             "::/96",
                             "64:ff9b::/96",
                             "64:ff9b::a00:0/104",
                             "64:ff9b::e000:0/100",
                             "64:ff9b:1::/48",
                             "2002::/16",
                             "2002:a00::/24",
                             "2002:c0a8::/32",
                             "2002:e000::/20",
                             "fc00::/7",
                             "fe80::/10",
                             "fec0::/10",
                             "ff00::/8",
                             "2001:db8::/32"}) {
        const auto cidr = *policy::Cidr::parse(text);
        for (const bool last : {false, true})
            for (const bool outside : {false, true})
                compare_kind(gate, edge_of(cidr, last, outside));
    }
}

} // namespace

TEST_CASE("kernel and model agree on which addresses are private or never learned") {
    CHECK(run_in_cgroup("penstock-differential-" + std::to_string(getpid()), compare_kinds) == "");
}
