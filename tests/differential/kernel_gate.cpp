// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/kernel_gate.h"

#include "penstock.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace penstock::differential {

using namespace penstock::policy;

namespace {

[[noreturn]] void fail(const std::string &what, int error) {
    throw std::runtime_error(what + ": " + std::strerror(error));
}

template <class Key, class Value> void put(bpf_map *map, const Key &key, const Value &value) {
    if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY))
        fail(std::string("write to ") + bpf_map__name(map), errno);
}

template <class Key> void remove(bpf_map *map, const Key &key) {
    if (bpf_map_delete_elem(bpf_map__fd(map), &key) && errno != ENOENT)
        fail(std::string("delete from ") + bpf_map__name(map), errno);
}

abi::ps_name_key name_key(std::uint16_t policy, const std::string &reversed) {
    abi::ps_name_key key{};
    key.prefixlen = static_cast<std::uint32_t>((2 + reversed.size()) * 8);
    key.policy = policy;
    reversed.copy(reinterpret_cast<char *>(key.name), sizeof key.name);
    return key;
}

abi::ps_cidr4_key cidr4_key(std::uint16_t policy, const Cidr &cidr) {
    abi::ps_cidr4_key key{};
    key.prefixlen = 16U + cidr.length - 96U;
    key.policy = policy;
    std::memcpy(key.address, cidr.address.octets.data() + 12, 4);
    return key;
}

abi::ps_cidr6_key cidr6_key(std::uint16_t policy, const Cidr &cidr) {
    abi::ps_cidr6_key key{};
    key.prefixlen = 16U + cidr.length;
    key.policy = policy;
    std::memcpy(key.address, cidr.address.octets.data(), 16);
    return key;
}

abi::ps_port_key port_key(std::uint64_t rule_set, const PortEntry &entry) {
    abi::ps_port_key key{};
    key.prefixlen = 64U + 8U + entry.prefix_bits;
    key.rule_set = rule_set;
    key.protocol = entry.protocol;
    key.port_be[0] = static_cast<std::uint8_t>(entry.port >> 8);
    key.port_be[1] = static_cast<std::uint8_t>(entry.port);
    return key;
}

abi::ps_resolver_key resolver_key(std::uint16_t policy, const Address &address) {
    abi::ps_resolver_key key{};
    std::memcpy(key.address, address.octets.data(), 16);
    key.policy = policy;
    return key;
}

abi::ps_address_key address_key(const Address &address) {
    abi::ps_address_key key{};
    std::memcpy(key.address, address.octets.data(), 16);
    key.slot = KernelGate::slot;
    key.netns = own_netns();
    return key;
}

} // namespace

std::uint32_t own_netns() {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    const int failed =
        fd < 0 || ::getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE, Linux 5.14 */, &cookie, &length);
    const int error = errno;
    ::close(fd);
    if (failed)
        fail("ask for the network namespace's cookie", error);
    return static_cast<std::uint32_t>(cookie);
}

struct KernelGate::Parts {
    penstock_bpf *skeleton = nullptr;
    abi::ps_slot slot{};
    std::uint32_t generation = 0;
    unsigned ifindex = 0;
    std::vector<std::uint32_t> generations = std::vector<std::uint32_t>(abi::PS_POLICIES);

    ~Parts() { penstock_bpf__destroy(skeleton); }
};

KernelGate::KernelGate(std::uint64_t cgroup_id, unsigned ifindex) : parts_(std::make_unique<Parts>()) {
    auto &skeleton = parts_->skeleton;
    skeleton = penstock_bpf__open();
    if (!skeleton)
        fail("open the BPF object", errno);
    bpf_program *program;
    bpf_object__for_each_program(program, skeleton->obj) bpf_program__set_autoload(
        program, program == skeleton->progs.ps_egress || program == skeleton->progs.ps_ingress ||
                     program == skeleton->progs.ps_sock_ops); // the last for bench/
    if (penstock_bpf__load(skeleton))
        fail("load the BPF object", errno);

    parts_->ifindex = ifindex;
    abi::ps_gate gate{};
    gate.abi_version = abi::PS_ABI_VERSION;
    gate.level_mask = 0xffffffff; // rows could stand anywhere
    gate.hash_seed = cgroup_id * 0x9e3779b97f4a7c15ULL;
    gate.learned_per_slot = gate.queries_per_slot = gate.udp_peers_per_slot = 1024;
    gate.name_rows_per_slot = 0;
    gate.flows_per_slot = 1024;
    gate.domains_per_slot = 65536; // more than a run has names: an evicted text can't be judged again
    put(skeleton->maps.gate, std::uint32_t{0}, gate);
    abi::ps_row row{};
    row.slot = slot;
    put(skeleton->maps.containers, cgroup_id, row);
    parts_->slot.cgroup_id = cgroup_id;
    parts_->slot.serial = 1;
    parts_->slot.flags = abi::PS_SLOT_USED;
    put(skeleton->maps.slots, slot, parts_->slot);
}

KernelGate::~KernelGate() = default;

void KernelGate::write(PolicyId id, const Image &image) {
    const auto &maps = parts_->skeleton->maps;
    for (const auto &[rule_set, entries] : image.rule_sets)
        for (const auto &entry : entries)
            put(maps.ports, port_key(rule_set, entry), entry.rule);
    for (const auto &entry : image.names)
        put(maps.names, name_key(id, entry.reversed), entry.match);
    for (const auto &entry : image.cidrs) {
        if (entry.cidr.address.is_v4())
            put(maps.cidrs4, cidr4_key(id, entry.cidr), entry.match);
        else
            put(maps.cidrs6, cidr6_key(id, entry.cidr), entry.match);
    }
    for (const auto &resolver : image.resolvers)
        put(maps.resolvers, resolver_key(id, resolver), std::uint8_t{1});
    auto settings = image.settings;
    settings.generation = parts_->generations[id] = ++parts_->generation;
    put(maps.policies, std::uint32_t{id}, settings);
}

void KernelGate::erase(PolicyId id, const Image &image) {
    const auto &maps = parts_->skeleton->maps;
    for (const auto &[rule_set, entries] : image.rule_sets)
        for (const auto &entry : entries)
            remove(maps.ports, port_key(rule_set, entry));
    for (const auto &entry : image.names)
        remove(maps.names, name_key(id, entry.reversed));
    for (const auto &entry : image.cidrs) {
        if (entry.cidr.address.is_v4())
            remove(maps.cidrs4, cidr4_key(id, entry.cidr));
        else
            remove(maps.cidrs6, cidr6_key(id, entry.cidr));
    }
    for (const auto &resolver : image.resolvers)
        remove(maps.resolvers, resolver_key(id, resolver));
}

void KernelGate::bind(PolicyId id) {
    parts_->slot.binding = std::uint64_t{parts_->generations[id]} << 32 | id; // PS_BINDING
    put(parts_->skeleton->maps.slots, slot, parts_->slot);
}

bool KernelGate::run(int program, const Octets &frame, std::uint32_t packets) {
    __sk_buff context{};
    context.ifindex = is_over_lo(frame) ? 1 : parts_->ifindex;
    if (packets > 1) {
        context.gso_segs = packets;
        context.gso_size = 1000;
    }
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof context;
    options.repeat = 1;
    if (bpf_prog_test_run_opts(program, &options))
        fail("BPF_PROG_TEST_RUN", errno);
    return options.retval & 1;
}

bool KernelGate::egress(const Octets &frame, std::uint32_t packets) {
    return run(bpf_program__fd(parts_->skeleton->progs.ps_egress), frame, packets);
}

bool KernelGate::ingress(const Octets &frame) {
    return run(bpf_program__fd(parts_->skeleton->progs.ps_ingress), frame, 1);
}

std::uint64_t KernelGate::counted(std::uint64_t rule, abi::ps_direction direction, abi::ps_verdict verdict,
                                  abi::ps_reason reason) const {
    static const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
    abi::ps_counter_key key{};
    key.rule = rule;
    key.slot = slot;
    key.direction = static_cast<std::uint8_t>(direction);
    key.verdict = static_cast<std::uint8_t>(verdict);
    key.reason = static_cast<std::uint8_t>(reason);
    std::vector<abi::ps_counter> each(cpus);
    const auto &maps = parts_->skeleton->maps;
    std::uint64_t sum = 0;
    for (const auto name :
         {std::uint64_t{0}, std::uint64_t{abi::PS_NAME_OTHER}}) { // no row of a name is given
        key.name_hash = name;
        std::uint32_t cell = 0;
        if (bpf_map_lookup_elem(bpf_map__fd(maps.counters), &key, &cell) ||
            bpf_map_lookup_elem(bpf_map__fd(maps.cells), &cell, each.data()))
            continue;
        for (const auto &counter : each)
            sum += counter.packets;
    }
    return sum;
}

std::string KernelGate::counters() const {
    std::ostringstream out;
    const int map = bpf_map__fd(parts_->skeleton->maps.counters);
    abi::ps_counter_key key{}, *previous = nullptr;
    while (bpf_map_get_next_key(map, previous, &key) == 0) {
        previous = &key;
        const auto count =
            counted(key.rule, static_cast<abi::ps_direction>(key.direction),
                    static_cast<abi::ps_verdict>(key.verdict), static_cast<abi::ps_reason>(key.reason));
        out << (key.direction == abi::PS_EGRESS ? "egress" : "ingress") << " verdict " << int{key.verdict}
            << " reason " << int{key.reason} << " rule " << key.rule << ": " << count << '\n';
    }
    return out.str();
}

std::size_t KernelGate::learned_names(const Address &address) const {
    const auto key = address_key(address);
    abi::ps_learned row;
    if (bpf_map_lookup_elem(bpf_map__fd(parts_->skeleton->maps.learned), &key, &row))
        return 0;
    return static_cast<std::size_t>(std::count_if(std::begin(row.names), std::end(row.names),
                                                  [](const auto &name) { return name.name_hash != 0; }));
}

bool KernelGate::is_private(const Address &address) const {
    const auto key = address_key(address);
    abi::ps_learned row;
    if (bpf_map_lookup_elem(bpf_map__fd(parts_->skeleton->maps.learned), &key, &row))
        fail("look up a learned address", errno);
    return row.is_private != 0;
}

void KernelGate::expire(const Address &address, std::size_t place) {
    const auto key = address_key(address);
    abi::ps_learned row;
    if (bpf_map_lookup_elem(bpf_map__fd(parts_->skeleton->maps.learned), &key, &row))
        fail("look up a learned address", errno);
    row.names[place].expires_ns = 1;
    put(parts_->skeleton->maps.learned, key, row);
}

void KernelGate::forget(const Address &address) {
    remove(parts_->skeleton->maps.learned, address_key(address));
}

int KernelGate::map(const char *name) const {
    const int fd = bpf_object__find_map_fd_by_name(parts_->skeleton->obj, name);
    if (fd < 0)
        fail(std::string("find map ") + name, -fd);
    return fd;
}

int KernelGate::program(const char *name) const {
    const auto *program = bpf_object__find_program_by_name(parts_->skeleton->obj, name);
    if (!program)
        fail(std::string("find program ") + name, ENOENT);
    return bpf_program__fd(program);
}

} // namespace penstock::differential
