/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records for the daemon. A verdict never waits for one: what the ring can't take is counted as lost. */
#pragma once

#include "lib/identity.h"
#include "lib/packet.h"
#include "lib/scratch.h"

static __always_inline struct ps_event *event__reserve(__u8 kind)
{
    struct ps_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
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

/* `index`: the scratch that holds the name asked for, or PS_SCRATCH_NONE. */
static __always_inline void event__denied(const struct identity *me, const struct flow *f, __u64 rule, __u8 verdict,
                                          __u8 reason, __u32 index)
{
    struct ps_event *e = event__reserve(PS_EVENT_DENIED);
    struct scratch *s = 0;
    __u32 length;

    if (!e)
        return;
    e->cgroup_id = me->cgroup_id;
    e->rule = rule;
    e->slot = me->slot;
    e->serial = me->serial;
    e->generation = PS_BINDING_GENERATION(me->binding);
    e->length = f->length;
    e->hook = f->hook;
    e->direction = f->direction;
    e->verdict = verdict;
    e->reason = reason;
    e->protocol = f->protocol;
    e->local_port = f->local_port;
    e->remote_port = f->remote_port;
    __builtin_memcpy(e->local, f->local.octets, 16);
    __builtin_memcpy(e->remote, f->remote.octets, 16);
    if (index < PS_SCRATCH_SLOTS)
        s = scratch__at(index);
    if (s) {
        length = s->name_length;
        if (length <= PS_NAME_MAX) {
            PS_BARRIER(length);
            length &= 0xff;
            e->query_type = s->type;
            e->name_length = (__u16)length;
            __builtin_memcpy(e->name, s->name + (PS_NAME_END - length), sizeof(e->name));
        }
    }
    bpf_ringbuf_submit(e, 0);
}
