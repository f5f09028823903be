/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The flow log of containers whose policy wants one: packets that pass are added up here, a row a conversation, whether a
 * daemon is there or not. The daemon tells of a row now and then and gives it back when it has ended. Never a verdict: a
 * conversation for which there is no row is counted as such: packets and octets, so that log and count together are all.
 */
#pragma once

#include "lib/account.h"
#include "lib/clock.h"
#include "lib/scratch.h"

#define FLOW_LOG_NO_ROOM 0xffffffff /* in the place of a row plus 1: is to be logged, has none */
#define FLOW_LOG_RETRY_NS PS_NS_PER_S

static __always_inline struct ps_flow *flow_log__at(__u32 row) {
    __u32 number = row - 1;

    return row ? bpf_map_lookup_elem(&flows, &number) : 0;
}

/* ---- rows ---- */

static __always_inline void flow_log__key(struct scratch *s) {
    struct ps_flow_key *key = &s->flow_key;

    __builtin_memset(key, 0, sizeof(*key));
    __builtin_memcpy(key->local, s->flow.local.octets, 16);
    __builtin_memcpy(key->remote, s->flow.remote.octets, 16);
    key->serial = s->serial;
    key->netns = s->flow.netns;
    key->local_port = s->flow.local_port;
    key->remote_port = s->flow.remote_port;
    key->protocol = s->flow.protocol;
}

/* A row that is nobody's, as number; PS_FLOWS: the container has as many as it may, or all are taken. */
static __always_inline __u32 flow_log__take(struct ps_gate *g, struct ps_heads *h) {
    __u32 number = PS_FLOWS;

    if (__sync_fetch_and_add(&h->head[PS_HEAD_FLOWS], 1) < g->flows_per_slot)
        number = bucket__take_number(&free_flows, &g->next_flow, PS_FLOWS);
    if (number >= PS_FLOWS)
        __sync_fetch_and_add(&h->head[PS_HEAD_FLOWS], -1);
    return number;
}

/* The row plus 1 of the scratch's flow, made when it is not there; FLOW_LOG_NO_ROOM. */
PS_GLOBAL __u32 flow_log__row(__u32 index) {
    struct scratch *s = scratch__at(index);
    struct ps_gate *g = identity__gate();
    struct ps_heads *h;
    const __u32 *found;
    struct ps_flow *row;
    __u32 number;

    if (!s || !g)
        return FLOW_LOG_NO_ROOM;
    number = s->slot;
    h = bpf_map_lookup_elem(&heads, &number);
    if (!h)
        return FLOW_LOG_NO_ROOM;
    flow_log__key(s);
    found = bpf_map_lookup_elem(&flow_ids, &s->flow_key);
    if (found)
        return *found + 1;
    number = flow_log__take(g, h);
    row = bpf_map_lookup_elem(&flows, &number);
    if (!row)
        return FLOW_LOG_NO_ROOM;
    row->key = s->flow_key;
    row->slot = s->slot;
    row->direction = s->flow.direction;
    row->last_ns = bpf_ktime_get_ns();
    *(volatile __u64 *)&row->begun_ns = row->last_ns;
    if (!bpf_map_update_elem(&flow_ids, &s->flow_key, &number, BPF_NOEXIST))
        return number + 1;
    *(volatile __u64 *)&row->begun_ns = 0; /* lost to another CPU, or no memory */
    __sync_fetch_and_add(&h->head[PS_HEAD_FLOWS], -1);
    bpf_map_push_elem(&free_flows, &number, 0);
    found = bpf_map_lookup_elem(&flow_ids, &s->flow_key);
    return found ? *found + 1 : FLOW_LOG_NO_ROOM;
}

/* ---- packets ---- */

static __always_inline void flow_log__add(struct ps_flow *row, __u32 direction, __u32 tcp_flags,
                                          __u64 packets, __u64 octets, __u64 now) {
    __u32 in = direction == PS_INGRESS, ends = tcp_flags & PS_TCP_RST ? PS_FLOW_RESET : 0;

    if (tcp_flags & PS_TCP_FIN)
        ends |= in ? PS_FLOW_FIN_IN : PS_FLOW_FIN_OUT;
    if (ends)
        row->ends |= ends; /* of two at once one may be lost: then it ends by its silence */
    __sync_fetch_and_add(in ? &row->packets[1] : &row->packets[0], packets);
    __sync_fetch_and_add(in ? &row->bytes[1] : &row->bytes[0], octets);
    *(volatile __u64 *)&row->last_ns = now;
}

static __always_inline void flow_log__unlogged(__u32 slot, __u32 direction, __u64 packets, __u64 octets) {
    account__add(slot, 0, 0, ACCOUNT_ROW(direction, PS_NONE, PS_R_FLOW_UNLOGGED), packets, octets);
}

/* The scratch's packet passes, by `what`: verdict, and reason << 8; allowed by the rule and the learned name. */
PS_GLOBAL int flow_log__packet(__u32 index, __u32 what, __u64 rule, __u64 name_hash) {
    const struct scratch *s = scratch__at(index);
    struct ps_flow *row = flow_log__at(flow_log__row(index));

    if (!s)
        return 0;
    if (!row) {
        flow_log__unlogged(s->slot, s->flow.direction, s->flow.packets, s->flow.length);
        return 0;
    }
    if (s->flow.direction == PS_EGRESS || !row->verdict) {
        row->rule = rule;
        row->name_hash = name_hash;
        row->verdict = (__u8)what;
        row->reason = (__u8)(what >> 8);
        row->generation = PS_BINDING_GENERATION(s->binding);
    }
    flow_log__add(row, s->flow.direction, s->flow.tcp_flags, s->flow.packets, s->flow.length,
                  bpf_ktime_get_ns()); /* no hook lacks it */
    return 0;
}

/* Is the row still of the flow with this word? Not when it has ended, and may be another's by now. Where there was no room,
 * there may be by now. */
static __always_inline int flow_log__holds(__u32 row_plus_1, __u64 word, __u64 judged_ns) {
    const struct ps_flow *row;

    if (row_plus_1 == FLOW_LOG_NO_ROOM)
        return clock__is_within(judged_ns, FLOW_LOG_RETRY_NS);
    row = flow_log__at(row_plus_1);
    return row && *(volatile const __u64 *)&row->word == word;
}

PS_GLOBAL int flow_log__known_row(__u32 row_plus_1, __u32 direction, __u32 tcp_flags, __u64 packets,
                                  __u64 octets) {
    struct ps_flow *row = flow_log__at(row_plus_1);

    if (row)
        flow_log__add(row, direction, tcp_flags, packets, octets, clock__late_monotonic_ns());
    return 0;
}

/* The same for a packet of a known flow of the slot; 0: of no row. */
static __always_inline void flow_log__known(__u32 slot, __u32 row_plus_1, __u32 direction, __u32 tcp_flags,
                                            __u64 packets, __u64 octets) {
    if (row_plus_1 == FLOW_LOG_NO_ROOM)
        flow_log__unlogged(slot, direction, packets, octets);
    else if (row_plus_1)
        flow_log__known_row(row_plus_1, direction, tcp_flags, packets, octets);
}
