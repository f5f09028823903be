/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The order of gates, written once, and the only place where mode and defaults apply. What no gate decides is denied.
 */
#pragma once

#include "lib/event.h"
#include "lib/gates.h"
#include "lib/known.h"

/* Programs nest deeper than there is scratch: what can't be judged is denied. */
static __always_inline void verdict__no_scratch(struct decision *d) {
    struct ps_gate *g = identity__gate();

    if (g)
        __sync_fetch_and_add(&g->scratch_lost, 1);
    decision__deny(d, PS_R_SCRATCH, 0);
}

/* Enforce judges; audit says what it would have done; open passes all. An unknown mode (unbound) denies. */
static __always_inline void verdict__apply_mode(struct decision *d, const struct identity *me) {
    if (d->verdict == PS_DENY && me->policy->default_reason == PS_R_BIRTH)
        d->reason = PS_R_BIRTH; /* whatever else is wrong with it */
    if (me->policy->mode == PS_MODE_OPEN)
        decision__allow(d, PS_R_OPEN, 0);
    else if (me->policy->mode == PS_MODE_AUDIT && d->verdict == PS_DENY)
        d->verdict = PS_WOULD_DENY;
    else if (me->policy->mode != PS_MODE_ENFORCE && me->policy->mode != PS_MODE_AUDIT)
        decision__deny(d, PS_R_UNBOUND, 0);
}

/* Is what the socket remembers said of this flow? A socket may be disconnected and connect elsewhere. */
static __always_inline int verdict__remembers(const struct ps_socket *memory, const struct flow *f) {
    union ps_address remote;

    if (!memory || memory->remote_port != f->remote_port)
        return 0;
    __builtin_memcpy(remote.octets, memory->remote, 16);
    return remote.halves[0] == f->remote.halves[0] && remote.halves[1] == f->remote.halves[1];
}

static __always_inline void verdict__order_egress(struct decision *d, const struct flow *f,
                                                  const struct identity *me, __u64 open_name,
                                                  __u32 accepted) {
    struct ps_udp_peer *peer = 0;

    if (gate__source_port(d, f) || gate__dns(d, f, me, 1) || gate__loopback(d, f, me))
        return;
    if (gate__tcp_reply(d, f, me, accepted) || gate__protocol(d, f) || gate__source_address(d, f, me))
        return;
    if (f->protocol == PS_PROTO_UDP)
        peer = reply__find(d->scratch);
    if (gate__udp_reply(d, f, me, peer))
        return;
    gate__rules(d, f, me, open_name ? open_name : reply__open_name(peer));
    if (f->protocol != PS_PROTO_UDP)
        return;
    /* From the second datagram on: a socket that asks once and closes is not worth the memory. */
    d->may_cache = d->may_cache && reply__is_live(peer) && peer->opened_by_us;
    if (d->verdict == PS_ALLOW)
        reply__touch(d->scratch, 1, d->name_hash);
}

/*
 * The packet that stands in the scratch leaves. `open_name`: the learned name its TCP socket was allowed by, or 0;
 * `accepted`: others opened the socket. Gives the decision packed, before the mode; PS_NONE: see gate__dns.
 */
PS_GLOBAL __u32 verdict__egress(__u32 index, __u64 open_name, __u32 accepted) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_egress(&d, &s->flow, &me, open_name, accepted);
    return decision__pack(&d);
}

/* An attempt to connect or send, before there is a packet: no payload, no certainty about the socket. */
static __always_inline void verdict__order_attempt(struct decision *d, const struct flow *f,
                                                   const struct identity *me) {
    struct ps_udp_peer *peer = 0;

    if (address__is_unspecified(&f->remote)) {
        decision__allow(d, PS_R_LOOPBACK, 0); /* becomes a loopback address: the packet hook judges that */
        return;
    }
    if (gate__dns(d, f, me, 0) || gate__loopback(d, f, me))
        return;
    if (f->protocol == PS_PROTO_UDP)
        peer = reply__find(d->scratch);
    if (gate__udp_reply(d, f, me, peer))
        return;
    gate__rules(d, f, me, reply__open_name(peer));
}

PS_GLOBAL __u32 verdict__attempt(__u32 index) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_attempt(&d, &s->flow, &me);
    return decision__pack(&d);
}

/* A packet that arrives: only `inbound` decides, and what we opened ourselves may be answered. */
static __always_inline void verdict__order_ingress(struct decision *d, const struct flow *f,
                                                   const struct identity *me) {
    int opens = f->protocol == PS_PROTO_TCP && (f->tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN;
    struct ps_udp_peer *peer;

    decision__allow(d, PS_R_INBOUND, 0);
    if (address__is_loopback(&f->remote) && me->policy->loopback == PS_ALLOW)
        return;
    if (opens && me->policy->inbound != PS_ALLOW)
        decision__deny(d, PS_R_INBOUND_DENIED, 0);
    if (f->protocol != PS_PROTO_UDP)
        return;
    /* What comes over lo is from this host, maybe from the container itself under a source it made up. */
    if (f->over_lo) {
        if (me->policy->inbound != PS_ALLOW)
            decision__deny(d, PS_R_INBOUND_DENIED, 0);
        return;
    }
    peer = reply__find(d->scratch);
    if (reply__is_live(peer) && peer->opened_by_us)
        reply__touch(d->scratch, 1, peer->name_hash);
    else if (me->policy->inbound == PS_ALLOW)
        reply__touch(d->scratch, 0, 0);
    else
        decision__deny(d, PS_R_INBOUND_DENIED, 0);
}

PS_GLOBAL __u32 verdict__ingress(__u32 index) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_ingress(&d, &s->flow, &me);
    return decision__pack(&d);
}

/*
 * The end of every hook: the mode applies, the verdict is counted and, unless it allows, told. Gives 1 when the
 * packet or attempt may go on. Gives the scratch back.
 */
static __always_inline int verdict__settle(struct decision *d, const struct flow *f,
                                           const struct identity *me) {
    verdict__apply_mode(d, me);
    account__add(me->slot, d->rule, f->direction, d->verdict, d->reason, 1, f->length);
    if (d->verdict != PS_ALLOW && d->scratch != PS_SCRATCH_NONE)
        event__denied(d->scratch, me->cgroup_id, me->serial,
                      d->verdict | (__u32)d->reason << 8 | (d->has_name ? EVENT_HAS_NAME : 0));
    if (d->scratch != PS_SCRATCH_NONE)
        scratch__release(d->scratch);
    return d->verdict == PS_ALLOW || d->verdict == PS_WOULD_DENY;
}

/* Claims a scratch and puts the flow there. 0 and a denial when there is none. */
static __always_inline int verdict__begin(struct decision *d, const struct flow *f,
                                          const struct identity *me) {
    d->scratch = scratch__claim();
    if (d->scratch == PS_SCRATCH_NONE) {
        verdict__no_scratch(d);
        return 0;
    }
    scratch__open(d->scratch, f, me->slot, me->binding, me->policy->mode);
    return 1;
}
