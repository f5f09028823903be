// SPDX-License-Identifier: Apache-2.0
// What the measured container lives in: the real programs with policies of 1, 1,000 and 100,000 domains, neighbours on
// demand, and the packets it sends and gets. Knows no clock and no figures.
#pragma once

#include "tests/differential/kernel_gate.h"
#include "tests/differential/packet.h"
#include "tests/differential/worker.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace penstock::bench {

using differential::KernelGate;
using differential::Octets;
using policy::Address;

constexpr std::uint8_t ip_tcp = 6, ip_udp = 17;
constexpr int sizes[] = {1, 1000, 100000}; // domains of a policy
constexpr int neighbours = 10000;
constexpr int many_rules = 1000;
constexpr std::uint32_t default_learned_cap = 1024, roomy_learned_cap = 131072; // addresses of a container
constexpr std::uint64_t never_a_cgroup = 1ULL << 40; // neighbours' rows name cgroups from here on

Address address(const char *text);

class World {
  public:
    World(const differential::Surroundings &, std::uint32_t level); // `level` of the container's cgroup

    KernelGate &gate() { return gate_; }
    void bind_domains(int size); // one of `sizes`
    // Policies with limits that nothing here reaches, one for each kind (world_limits.cpp); the last has all that there is.
    struct Limited {
        const char *what;
        bool is_all = false;
    };
    static const std::vector<Limited> &limited();
    void bind_limited(std::size_t place); // as in limited()
    void bind_limited_rules(
        int rules); // 1 or many_rules, each with an address and limits of its own, as the container has
    // `containers` beside ours have spent of the container's limits and of so many rules'; gone with the World.
    void add_budgets(std::uint32_t containers, int rules);
    void remove_budgets(std::uint32_t containers, int rules);
    void add_neighbours(); // their rows, bindings and learned addresses
    void remove_neighbours();
    void set_row(bool there);            // of the measured container: without, its packets are unmanaged
    void set_levels(std::uint32_t mask); // at which depths rows stand
    void set_learned_cap(std::uint32_t);
    std::uint32_t own_level() const { return 1U << level_; }

    Octets query(std::uint16_t port, std::uint16_t id, const std::string &name) const;
    Octets answer(std::uint16_t port, std::uint16_t id, const std::string &name,
                  const std::vector<Address> &) const;
    // Asks and answers, so that the addresses are learned.
    void teach(const std::string &name, const std::vector<Address> &);

    unsigned ifindex() const { return surroundings_.ifindex; }

  private:
    void write_limited();
    void change_gate(const std::function<void(abi::ps_gate &)> &);

    differential::Surroundings surroundings_;
    std::uint32_t level_;
    KernelGate gate_;
};

// Of bind_limited_rules' rule number `place`.
differential::Ends limited_rule_ends(int place);

// An allowed name of 30 octets, of every policy that has more than `place` domains.
std::string domain(int place);
// An allowed name of 10, 100 or 253 octets; in the policy of 1,000 domains.
std::string domain_of_length(std::size_t length);

differential::Ends v4_ends(const char *to, std::uint16_t port);
differential::Ends v6_ends(const char *to, std::uint16_t port);
differential::Ends reversed(const differential::Ends &);

} // namespace penstock::bench
