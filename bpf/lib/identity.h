/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose packet is it: from a socket or a task to the container's slot and policy. The nearest row among the
 * cgroup and its ancestors counts; `level_mask` names the depths at which rows stand, so that most walks are one or
 * two look-ups. No row: not ours.
 */
#pragma once

#include "lib/cursor.h"
#include "lib/maps.h"

struct identity {
    __u32 slot;
    __u32 serial;
    __u64 binding;
    __u64 cgroup_id;
    const struct ps_policy *policy; /* of the binding; never null */
};

static __always_inline struct ps_gate *identity__gate(void) {
    __u32 zero = 0;

    return bpf_map_lookup_elem(&gate, &zero);
}

/* The policy of a binding that was read before: a packet is judged by one policy, also while it changes. */
static __always_inline int identity__of_binding(struct identity *me, __u32 slot, __u64 binding) {
    __u32 policy = PS_BINDING_POLICY(binding);

    me->slot = slot;
    me->binding = binding;
    me->policy = bpf_map_lookup_elem(&policies, &policy);
    if (!me->policy) { /* an id past the array: as good as unbound, which denies */
        policy = PS_POLICY_UNBOUND;
        me->policy = bpf_map_lookup_elem(&policies, &policy);
    }
    return me->policy != 0;
}

/* The slot's present binding. An unbound slot has policy 0, whose mode of 0 denies. */
static __always_inline int identity__of_slot(struct identity *me, __u32 slot) {
    const struct ps_slot *row = bpf_map_lookup_elem(&slots, &slot);

    if (!row) { /* a slot past the array: not nobody's, but denied */
        slot = PS_SLOT_OVERFLOW;
        row = bpf_map_lookup_elem(&slots, &slot);
    }
    if (!row)
        return 0;
    me->serial = row->serial;
    me->cgroup_id = row->cgroup_id;
    return identity__of_binding(me, slot, *(volatile const __u64 *)&row->binding);
}

/* The same for what a socket remembers; 0 when the slot has changed hands or its row was taken away since. */
static __always_inline int identity__remembered(struct identity *me, __u32 slot, __u32 serial) {
    const struct ps_slot *row = bpf_map_lookup_elem(&slots, &slot);

    if (!serial || !row || row->serial != serial || row->flags & PS_SLOT_RELEASED)
        return 0;
    return identity__of_slot(me, slot) && me->serial == serial;
}

/*
 * Index of the highest bit set; mask is not 0. Without branches: with them the verifier would walk 16 paths a
 * level (46k instructions instead of 2k).
 */
static __always_inline __u32 identity__deepest(__u32 mask) {
    mask |= mask >> 1;
    mask |= mask >> 2;
    mask |= mask >> 4;
    mask |= mask >> 8;
    mask |= mask >> 16;
    mask >>= 1; /* as many 1s as the index */
    mask -= (mask >> 1) & 0x55555555;
    mask = (mask & 0x33333333) + ((mask >> 2) & 0x33333333);
    mask = (mask + (mask >> 4)) & 0x0f0f0f0f;
    return (mask * 0x01010101) >> 24;
}

/*
 * The slot of the nearest row above the packet's socket plus 1, or 0. A packet without a socket has none. Global
 * functions, so that the 32 ways out of the walk are not times all that follows it.
 */
PS_GLOBAL __u32 identity__walk_packet(struct __sk_buff *skb) {
    const struct ps_gate *g = identity__gate();
    __u32 mask = g ? g->level_mask : 0;

    for (int i = 0; i < PS_LEVELS && mask; i++) {
        __u32 level = identity__deepest(mask);
        __u64 id = bpf_skb_ancestor_cgroup_id(skb, level);
        const struct ps_row *row = id ? bpf_map_lookup_elem(&containers, &id) : 0;

        if (row)
            return row->slot + 1;
        mask &= ~(1U << (level & 31));
    }
    return 0;
}

/* The same for the calling task; `mask` is the gate's level_mask. */
PS_GLOBAL __u32 identity__walk_task(__u32 mask) {
    for (int i = 0; i < PS_LEVELS && mask; i++) {
        __u32 level = identity__deepest(mask);
        __u64 id = bpf_get_current_ancestor_cgroup_id(level);
        const struct ps_row *row = id ? bpf_map_lookup_elem(&containers, &id) : 0;

        if (row)
            return row->slot + 1;
        mask &= ~(1U << (level & 31));
    }
    return 0;
}

/* 1 and `me` filled, or 0: not ours. */
static __always_inline int identity__of_packet(struct identity *me, struct __sk_buff *skb) {
    __u32 found = identity__walk_packet(skb);

    return found ? identity__of_slot(me, found - 1) : 0;
}

/* For the sockaddr, socket and LSM hooks, which know the task and not yet a packet. */
static __always_inline int identity__of_task(struct identity *me) {
    const struct ps_gate *g = identity__gate();
    __u32 found = g ? identity__walk_task(g->level_mask) : 0;

    return found ? identity__of_slot(me, found - 1) : 0;
}
