// SPDX-License-Identifier: Apache-2.0
#include "bench/world.h"

#include "policy/compile.h"

#include <bpf/bpf.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace penstock::bench {

using namespace penstock::differential;

namespace {

constexpr const char *own_v4 = "192.168.77.2", *own_v6 = "fd77::2", *resolver = "192.168.77.1";
constexpr int neighbour_addresses = 4; // learned by each

template <class Key, class Value> void put(int map, const Key &key, const Value &value) {
    if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
        throw std::runtime_error(std::string("write to a map: ") + std::strerror(errno));
}

policy::PortRange port(policy::Protocol protocol, std::uint16_t number) {
    return {protocol, number, number};
}

policy::Policy policy_of(int size) {
    using policy::Protocol;
    policy::Policy made;
    made.name = "bench-" + std::to_string(size);
    policy::Rule names;
    names.name = "names";
    names.ports = {port(Protocol::tcp, 443), port(Protocol::udp, 443)};
    for (int i = 0; i < size; ++i)
        names.domains.push_back({policy::NamePattern::Kind::exact, domain(i)});
    if (size == 1000)
        for (const std::size_t length : {10, 100, 253})
            names.domains.push_back({policy::NamePattern::Kind::exact, domain_of_length(length)});
    policy::Rule nets;
    nets.name = "nets";
    nets.ports = names.ports;
    nets.cidrs = {*policy::Cidr::parse("198.51.100.0/24"), *policy::Cidr::parse("2001:db8:1::/48")};
    policy::Rule metadata;
    metadata.name = "metadata";
    metadata.cidrs = {*policy::Cidr::parse("169.254.169.254/32")};
    made.allow = {names, nets};
    made.deny = {metadata};
    return made;
}

KernelGate::PolicyId id_of(std::size_t place) {
    return static_cast<KernelGate::PolicyId>(abi::PS_POLICY_FIRST + place);
}

abi::ps_address_key learned_key(std::uint32_t slot, int place) {
    abi::ps_address_key key{};
    const auto base = address("93.184.0.0");
    std::memcpy(key.address, base.octets.data(), 16);
    key.address[14] = static_cast<std::uint8_t>(slot);
    key.address[15] = static_cast<std::uint8_t>(place);
    key.slot = slot;
    static const auto netns = differential::own_netns();
    key.netns = netns;
    return key;
}

} // namespace

Address address(const char *text) {
    return *Address::parse(text);
}

std::string domain(int place) {
    std::array<char, 40> text; // not with operator+: GCC 12 sees an overlap that is none
    std::snprintf(text.data(), text.size(), "h%06d.bench-names-30.example", place);
    return text.data();
}

std::string domain_of_length(std::size_t length) {
    const std::string end = "q.bench.io";
    std::string name;
    while (name.size() + 64 + end.size() <= length)
        name += std::string(31, 'a') + '.' + std::string(31, 'b') + '.';
    if (const auto left = length - name.size() - end.size(); left > 0)
        name += std::string(left - 1, 'c') + '.';
    return name + end;
}

Ends v4_ends(const char *to, std::uint16_t port) {
    return {address(own_v4), address(to), 40000, port};
}

Ends v6_ends(const char *to, std::uint16_t port) {
    return {address(own_v6), address(to), 40000, port};
}

Ends reversed(const Ends &ends) {
    return {ends.to, ends.from, ends.to_port, ends.from_port};
}

World::World(const Surroundings &surroundings, std::uint32_t level)
    : surroundings_(surroundings), level_(level), gate_(surroundings.cgroup_id, surroundings.ifindex) {
    policy::Environment environment;
    environment.resolvers = {address(resolver)};
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
        const auto made = policy_of(sizes[i]);
        gate_.write(id_of(i), policy::compile({&made}, environment));
    }
    set_levels(own_level());
    set_learned_cap(roomy_learned_cap);
    change_gate([](auto &gate) { // the daemon's defaults
        gate.queries_per_slot = 256;
        gate.name_rows_per_slot = 256;
    });
    write_limited();
    bind_domains(1000);
}

void World::bind_domains(int size) {
    for (std::size_t i = 0; i < std::size(sizes); ++i)
        if (sizes[i] == size)
            gate_.bind(id_of(i));
}

void World::change_gate(const std::function<void(abi::ps_gate &)> &change) {
    const std::uint32_t zero = 0;
    abi::ps_gate gate{};
    if (bpf_map_lookup_elem(gate_.map("gate"), &zero, &gate))
        throw std::runtime_error("no gate element");
    change(gate);
    put(gate_.map("gate"), zero, gate);
}

void World::set_levels(std::uint32_t mask) {
    change_gate([&](auto &gate) { gate.level_mask = mask; });
}

void World::set_learned_cap(std::uint32_t cap) {
    change_gate([&](auto &gate) { gate.learned_per_slot = cap; });
}

void World::set_row(bool there) {
    abi::ps_row row{};
    row.slot = KernelGate::slot;
    const auto id = surroundings_.cgroup_id;
    if (there)
        put(gate_.map("containers"), id, row);
    else
        bpf_map_delete_elem(gate_.map("containers"), &id);
}

void World::add_neighbours() {
    const std::uint32_t own = KernelGate::slot;
    abi::ps_slot slot{};
    bpf_map_lookup_elem(gate_.map("slots"), &own, &slot); // they share the policy
    const int containers = gate_.map("containers"), slots = gate_.map("slots"),
              learned = gate_.map("learned");
    abi::ps_learned names{};
    for (std::uint32_t i = 0; i < neighbours; ++i) {
        abi::ps_row row{};
        row.slot = own + 1 + i;
        slot.cgroup_id = never_a_cgroup + i;
        slot.serial = row.slot;
        put(slots, row.slot, slot);
        put(containers, slot.cgroup_id, row);
        for (int j = 0; j < neighbour_addresses; ++j)
            put(learned, learned_key(row.slot, j), names);
    }
}

void World::remove_neighbours() {
    const int containers = gate_.map("containers"), learned = gate_.map("learned");
    for (std::uint32_t i = 0; i < neighbours; ++i) {
        const std::uint64_t id = never_a_cgroup + i;
        bpf_map_delete_elem(containers, &id);
        for (int j = 0; j < neighbour_addresses; ++j) {
            const auto key = learned_key(KernelGate::slot + 1 + i, j);
            bpf_map_delete_elem(learned, &key);
        }
    }
}

Octets World::query(std::uint16_t port, std::uint16_t id, const std::string &name) const {
    return frame({address(own_v4), address(resolver), port, 53}, ip_udp, dns_query(id, name, type_a));
}

Octets World::answer(std::uint16_t port, std::uint16_t id, const std::string &name,
                     const std::vector<Address> &addresses) const {
    return frame({address(resolver), address(own_v4), 53, port}, ip_udp,
                 dns_answer(dns_query(id, name, type_a), addresses, 3600));
}

void World::teach(const std::string &name, const std::vector<Address> &addresses) {
    if (!gate_.egress(query(41000, 7, name)) || !gate_.ingress(answer(41000, 7, name, addresses)))
        throw std::runtime_error("an allowed name could not be learned: " + name);
}

} // namespace penstock::bench
