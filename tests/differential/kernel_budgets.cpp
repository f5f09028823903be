// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/kernel_budgets.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace penstock::differential {

namespace {

template <class Key, class Value> void put(int map, const Key &key, const Value &value) {
    if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
        throw std::runtime_error(std::string("write to a map of limits: ") + std::strerror(errno));
}

abi::ps_limits_key limits_key(KernelGate::PolicyId policy, std::uint64_t rule) {
    abi::ps_limits_key key{};
    key.rule = rule;
    key.policy = policy;
    return key;
}

// A mark that finds the ring full is not told.
void forget_events(int ring) {
    const auto ignore = [](void *, void *, std::size_t) { return 0; };
    ring_buffer *events = ring_buffer__new(ring, ignore, nullptr, nullptr);
    if (!events)
        throw std::runtime_error(std::string("read the ring: ") + std::strerror(errno));
    ring_buffer__consume(events);
    ring_buffer__free(events);
}

} // namespace

void KernelBudgets::write(KernelGate::PolicyId id, const policy::Image &image) {
    forget_events(gate_.map("events"));
    for (const auto &[rule, limits] : image.limits) {
        const std::uint32_t place = next_place_++ % abi::PS_LIMITS;
        put(gate_.map("limits"), place, limits);
        put(gate_.map("limit_ids"), limits_key(id, rule), place);
    }
}

void KernelBudgets::erase(KernelGate::PolicyId id, const policy::Image &image) {
    for (const auto &[rule, limits] : image.limits) {
        const auto key = limits_key(id, rule);
        bpf_map_delete_elem(gate_.map("limit_ids"), &key);
    }
}

// The number that the key has, or else one more of the gate's.
void KernelBudgets::set(std::uint64_t rule, const abi::ps_budget &budget) {
    abi::ps_budget_key key{};
    key.rule = rule;
    key.slot = slot_;
    std::uint32_t index = 0;
    if (bpf_map_lookup_elem(gate_.map("budget_ids"), &key, &index)) {
        const std::uint32_t zero = 0;
        abi::ps_gate gate{};
        if (bpf_map_lookup_elem(gate_.map("gate"), &zero, &gate))
            throw std::runtime_error("no gate element");
        index = gate.next_budget++;
        put(gate_.map("gate"), zero, gate);
        put(gate_.map("budget_ids"), key, index);
    }
    auto owned = budget;
    owned.rule = rule;
    owned.slot = slot_;
    put(gate_.map("budgets"), index, owned);
}

abi::ps_budget KernelBudgets::get(std::uint64_t rule) const {
    abi::ps_budget_key key{};
    key.rule = rule;
    key.slot = slot_;
    std::uint32_t index = 0;
    abi::ps_budget budget{};
    if (bpf_map_lookup_elem(gate_.map("budget_ids"), &key, &index) == 0 &&
        bpf_map_lookup_elem(gate_.map("budgets"), &index, &budget))
        throw std::runtime_error("no element of a budget");
    return budget;
}

} // namespace penstock::differential
