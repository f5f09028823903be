// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/initialise.h"

#include <cerrno>
#include <sys/random.h>

namespace penstock::kernel {
namespace {

constexpr std::uint32_t birth_generation = 1;

abi::ps_gate caps_of(const GateOptions &options) {
    abi::ps_gate gate{};
    gate.learned_per_slot = options.learned_per_slot;
    gate.queries_per_slot = options.queries_per_slot;
    gate.udp_peers_per_slot = options.udp_peers_per_slot;
    gate.domains_per_slot = options.domains_per_slot;
    gate.name_rows_per_slot = options.name_rows_per_slot;
    gate.flows_per_slot = options.flows_per_slot;
    gate.event_cost_ns = options.event_cost_ns;
    gate.event_burst_ns = options.event_burst_ns;
    return gate;
}

abi::ps_policy birth_policy(abi::ps_mode mode) {
    abi::ps_policy policy{};
    policy.generation = birth_generation;
    policy.min_ttl_s = 30;
    policy.mode = mode;
    policy.inbound = mode == abi::PS_MODE_ENFORCE ? abi::PS_DENY : abi::PS_ALLOW;
    policy.loopback = abi::PS_ALLOW;
    policy.resolvers_any =
        0; // what passes teaches for the policy to come, but only by resolvers the daemon names
    policy.default_reason = abi::PS_R_BIRTH;
    return policy;
}

// mode 0 denies; its generation is the last one given to any policy
Result<void> write_unbound_policy(const Map<Id, abi::ps_policy> &policies) {
    abi::ps_policy unbound{};
    unbound.generation = birth_generation;
    return policies.update(abi::PS_POLICY_UNBOUND, unbound);
}

// At every start: they are this version's.
Result<void> write_birth_policies(const Map<Id, abi::ps_policy> &policies) {
    const std::pair<Id, abi::ps_policy> fixed[] = {
        {abi::PS_POLICY_BIRTH_DENY, birth_policy(abi::PS_MODE_ENFORCE)},
        {abi::PS_POLICY_BIRTH_ALLOW, birth_policy(abi::PS_MODE_OPEN)},
        {abi::PS_POLICY_BIRTH_AUDIT, birth_policy(abi::PS_MODE_AUDIT)},
    };
    for (const auto &[id, policy] : fixed)
        if (auto done = policies.update(id, policy); !done)
            return done;
    return {};
}

} // namespace

Result<bool> initialise(Maps &maps, const GateOptions &options, std::uint64_t root_id,
                        std::uint32_t root_level) {
    abi::ps_gate gate = caps_of(options);
    const abi::ps_gate there = maps.gate.read();
    if (there.abi_version != 0) {
        if (there.root_id != root_id)
            return fault("the pinned maps belong to the gate root with cgroup id " +
                         std::to_string(there.root_id) + ", not to id " + std::to_string(root_id) +
                         ": use the old gate root, or detach all first");
        if (const auto done = write_birth_policies(maps.policies); !done)
            return done.error();
        maps.gate.set_caps(gate);
        return true;
    }
    if (const auto done = maps.free_slots.fill(abi::PS_SLOT_FIRST, abi::PS_SLOTS - 1); !done)
        return done.error();
    if (const auto done = write_unbound_policy(maps.policies); !done)
        return done.error();
    if (const auto done = write_birth_policies(maps.policies); !done)
        return done.error();
    gate.abi_version = abi::PS_ABI_VERSION;
    gate.root_id = root_id;
    gate.root_level = root_level;
    gate.next_serial = 1;
    if (::getrandom(&gate.hash_seed, sizeof gate.hash_seed, 0) != sizeof gate.hash_seed)
        return system_error("draw the seed of name hashes", errno);
    maps.gate.initialise(gate);
    return false;
}

} // namespace penstock::kernel
