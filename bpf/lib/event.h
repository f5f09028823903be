/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records for the daemon. A verdict never waits for one. Each container may tell so many and no more, so that none fills
 * the ring for the others; a denial or a mark that was not told, for that or for a full ring, is counted as such by its
 * reason.
 */
#pragma once

#include "lib/account.h"
#include "lib/packet.h"
#include "lib/scratch.h"

/* Asked first, as a reservation that fails has held the lock that all CPUs share: while nobody reads, all of them fail. */
static __always_inline int event__fits(void *ring) {
    return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) + sizeof(struct ps_event) + BPF_RINGBUF_HDR_SZ <
           bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
}

/* 0: the ring is full, and that is counted; by reason and container who asked does it. */
static __always_inline struct ps_event *event__reserve(void *ring, __u8 kind) {
    struct ps_event *e = event__fits(ring) ? bpf_ringbuf_reserve(ring, sizeof(*e), 0) : 0;
    struct ps_gate *g;

    if (!e) {
        g = identity__gate();
        if (g)
            __sync_fetch_and_add(&g->events_lost, 1);
        return 0;
    }
    __builtin_memset(e, 0, sizeof(*e));
    e->time_ns = bpf_ktime_get_ns();
    e->kind = kind;
    return e;
}

/* One of the container's events is spent. 0: it has none left. */
static __always_inline int event__may_tell(__u32 slot) {
    const struct ps_gate *g = identity__gate();
    struct ps_teller *teller = bpf_map_lookup_elem(&tellers, &slot);

    if (!g || !teller)
        return 0;
    return !g->event_cost_ns ||
           bucket__take(&teller->full_ns, g->event_cost_ns, g->event_burst_ns, bpf_ktime_get_ns(), 1);
}

#define EVENT_HAS_NAME 0x10000

/*
 * A denial of the flow in the scratch, by the rule. `what`: verdict, reason << 8, and EVENT_HAS_NAME if the scratch's name
 * is the name that was asked for.
 */
PS_GLOBAL int event__denied(__u32 index, __u32 what, __u64 rule) {
    struct scratch *s = scratch__at(index);
    struct ps_event *e;
    __u32 length;

    if (!s)
        return 0;
    e = event__may_tell(s->slot) ? event__reserve(&events, PS_EVENT_DENIED) : 0;
    if (!e) {
        account__add(s->slot, rule, 0, ACCOUNT_ROW(s->flow.direction, PS_UNTOLD, what >> 8), 1, 0);
        return 0;
    }
    e->cgroup_id = s->cgroup_id;
    e->rule = rule;
    e->slot = s->slot;
    e->serial = s->serial;
    e->generation = PS_BINDING_GENERATION(s->binding);
    e->length = s->flow.length;
    e->hook = s->flow.hook;
    e->direction = s->flow.direction;
    e->verdict = (__u8)what;
    e->reason = (__u8)(what >> 8);
    e->protocol = s->flow.protocol;
    e->local_port = s->flow.local_port;
    e->remote_port = s->flow.remote_port;
    __builtin_memcpy(e->local, s->flow.local.octets, 16);
    __builtin_memcpy(e->remote, s->flow.remote.octets, 16);
    e->pid = s->pid;
    if (s->pid)
        __builtin_memcpy(e->comm, s->comm, sizeof(e->comm));
    length = s->name_length;
    if (what & EVENT_HAS_NAME && length <= PS_NAME_MAX) {
        PS_BARRIER(length);
        length &= 0xff;
        e->query_type = s->type;
        e->name_length = (__u16)length;
        __builtin_memcpy(e->name, s->name + (PS_NAME_END - length), sizeof(e->name));
    }
    bpf_ringbuf_submit(e, 0);
    return 0;
}

/* So many per cent of the quota of the container (rule 0) or of its rule are spent. Rare: each is told once a window. */
PS_GLOBAL int event__quota(__u32 slot, __u64 rule, __u32 per_cent, __u32 direction) {
    const struct ps_slot *row = bpf_map_lookup_elem(&slots, &slot);
    struct ps_event *e = row ? event__reserve(&events, PS_EVENT_QUOTA) : 0;

    if (!e) {
        account__add(slot, rule, 0, ACCOUNT_ROW(direction, PS_UNTOLD, PS_R_QUOTA_MARK), 1, 0);
        return 0;
    }
    e->cgroup_id = row->cgroup_id;
    e->serial = row->serial;
    e->generation = PS_BINDING_GENERATION(row->binding);
    e->rule = rule;
    e->slot = slot;
    e->length = per_cent;
    e->direction = (__u8)direction;
    e->reason = PS_R_QUOTA;
    bpf_ringbuf_submit(e, 0);
    return 0;
}
