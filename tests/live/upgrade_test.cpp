// SPDX-License-Identifier: Apache-2.0
// New programs take the place of old ones in their links while a container floods: no packet finds no program (a denied one would leave,
// and the counters would miss some), and none is lost.
#include "tests/live/flood.h"
#include "tests/live/own_cgroup.h"

#include "userspace/sync/policy_writer.h"
#include "userspace/sync/rows.h"

#include "userspace/base/unique_fd.h"

#include <bpf/bpf.h>
#include <catch2/catch.hpp>
#include <iostream>

using namespace penstock;
using test::Flood;
using test::OwnCgroup;
using test::soon;

namespace {

constexpr int upgrades = 60, upgrades_min = 10, swaps = 500;
constexpr std::chrono::seconds patience{
    15}; // for the upgrades: each has the verifier read all programs, under the flood

// A link of the gate and two programs that take turns in it.
struct Swap {
    UniqueFd link, programs[2];
};

UniqueFd program_in(const UniqueFd &link) {
    bpf_link_info info{};
    __u32 size = sizeof info;
    REQUIRE(::bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0);
    UniqueFd program(::bpf_prog_get_fd_by_id(info.prog_id));
    REQUIRE(program);
    return program;
}

// The links whose programs can be replaced, each with the program that it has now.
std::vector<Swap> cgroup_links(const OwnCgroup &own) {
    std::vector<Swap> found;
    for (const auto &entry : std::filesystem::directory_iterator(own.bpffs / "links")) {
        Swap swap;
        swap.link.reset(::bpf_obj_get(entry.path().c_str()));
        REQUIRE(swap.link);
        bpf_link_info info{};
        __u32 size = sizeof info;
        REQUIRE(::bpf_obj_get_info_by_fd(swap.link.get(), &info, &size) == 0);
        if (info.type != BPF_LINK_TYPE_CGROUP)
            continue;
        swap.programs[0] = program_in(swap.link);
        found.push_back(std::move(swap));
    }
    return found;
}

policy::Policy only_the_open_address() {
    policy::Rule rule;
    rule.name = "open";
    rule.cidrs = {*policy::Cidr::parse(Flood::open_address)};
    rule.ports.push_back({policy::Protocol::udp, Flood::port, Flood::port});
    policy::Policy policy;
    policy.name = "flooding";
    policy.allow.push_back(rule);
    return policy;
}

// The flood's cgroup becomes a container that may send to the open address and to nothing else.
std::uint32_t contain(kernel::Gate &gate, const OwnCgroup &own, const std::filesystem::path &cgroup) {
    auto writer = sync::PolicyWriter::open(gate);
    REQUIRE(writer);
    const auto policy = only_the_open_address();
    const auto handle = writer->put(std::make_shared<const policy::Image>(policy::compile({&policy}, {})));
    REQUIRE(handle);
    const auto row =
        sync::Rows(gate).make(cgroup_id(cgroup).value(), own.level(cgroup), 0, handle->binding());
    REQUIRE(row);
    return row->slot;
}

struct Counted {
    std::uint64_t egress_allowed = 0, egress_denied = 0, ingress_allowed = 0, octets = 0, others = 0;
};

Counted counted(const kernel::Gate &gate, std::uint32_t slot) {
    Counted sum;
    REQUIRE(gate.maps().counters.for_each([&](const abi::ps_counter_key &key, const abi::ps_counter &count) {
        if (key.slot != slot || key.verdict == abi::PS_NONE || key.verdict == abi::PS_UNTOLD)
            return; // no packets: what was noticed, and denials that no event tells of
        const bool egress = key.direction == abi::PS_EGRESS;
        if (egress && key.reason == abi::PS_R_CIDR)
            sum.egress_allowed += count.packets, sum.octets += count.bytes;
        else if (egress && key.reason == abi::PS_R_NO_RULE)
            sum.egress_denied += count.packets;
        else if (!egress && key.reason == abi::PS_R_INBOUND)
            sum.ingress_allowed += count.packets;
        else
            sum.others += count.packets;
    }));
    return sum;
}

} // namespace

TEST_CASE("programs are replaced under a flood: no packet is unfiltered, none is lost, each is counted") {
    const OwnCgroup own;
    const auto cgroup = own.make_child("flood");
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    const std::uint32_t slot = contain(*gate, own, cgroup);

    Flood flood(cgroup);
    const auto &books = flood.books();
    REQUIRE(soon([&] { return books.open_arrived > 1000 || books.broken != 0; }));
    REQUIRE(books.broken == 0);
    auto swapped = cgroup_links(own);
    REQUIRE(swapped.size() >= 9);
    const auto start = std::chrono::steady_clock::now();
    int done = 0;
    for (; done < upgrades && (done < upgrades_min || std::chrono::steady_clock::now() - start < patience);
         done++) {
        auto newer = kernel::Gate::open(own.options());
        INFO((newer ? "" : newer.error().message));
        REQUIRE(newer);
        REQUIRE(newer->adopted());
        gate = std::move(newer); // as when the old daemon is gone: only the pins hold the links
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    for (auto &link : swapped)
        link.programs[1] = program_in(link.link);
    const std::uint64_t before = books.closed_refused;
    for (int i = 0; i < swaps; i++)
        for (auto &link : swapped)
            REQUIRE(::bpf_link_update(link.link.get(), link.programs[i % 2].get(), nullptr) == 0);
    REQUIRE(soon([&] { return books.closed_refused > before + 1000; }));
    flood.stop();

    std::cout << done << " upgrades in " << took.count() << " s and " << swaps * swapped.size()
              << " single replacements; sent " << books.open_sent << ", arrived " << books.open_arrived
              << ", refused " << books.closed_refused + books.closed_attempts_refused << ", left "
              << books.closed_arrived << "\n";
    CHECK(books.open_failed == 0);
    CHECK(books.open_sent == books.open_arrived);
    CHECK(books.closed_sent == 0);
    CHECK(books.closed_arrived == 0);
    const Counted sum = counted(*gate, slot);
    CHECK(sum.egress_allowed == books.open_sent);
    CHECK(sum.octets == books.open_sent * (Flood::octets + 28));
    CHECK(sum.ingress_allowed == books.open_arrived);
    CHECK(sum.egress_denied == books.closed_refused + books.closed_attempts_refused);
    CHECK(sum.others == 0);
    std::uint64_t all = 0; // what is no packet, too
    REQUIRE(gate->maps().counters.for_each([&](const abi::ps_counter_key &key, const abi::ps_counter &count) {
        all += key.slot == slot ? count.packets : 0;
    }));
    const auto by_slot = gate->maps().counters.packets_by_slot(gate->maps().gate.read().next_cell);
    REQUIRE(by_slot);
    CHECK(by_slot->at(slot) == all);
    CHECK(gate->maps().gate.read().scratch_lost == 0);
    CHECK(gate->maps().gate.read().counters_lost == 0);
}
