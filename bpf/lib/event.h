/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records for the daemon. A verdict never waits for one: what the ring can't take is counted as lost. */
#pragma once

#include "lib/identity.h"
#include "lib/packet.h"
#include "lib/scratch.h"

static __always_inline struct ps_event *event__reserve(void *ring, __u8 kind) {
    struct ps_event *e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);
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

#define EVENT_HAS_NAME 0x10000

/*
 * A denial of the flow in the scratch, whose best.rule is the rule. `what`: verdict, reason << 8, and EVENT_HAS_NAME
 * if the scratch's name is the name that was asked for.
 */
PS_GLOBAL int event__denied(__u32 index, __u64 cgroup_id, __u32 serial, __u32 what) {
    struct scratch *s = scratch__at(index);
    struct ps_event *e = s ? event__reserve(&events, PS_EVENT_DENIED) : 0;
    __u32 length;

    if (!e)
        return 0;
    e->cgroup_id = cgroup_id;
    e->rule = s->best.rule;
    e->slot = s->slot;
    e->serial = serial;
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
