/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The order of gates, written once, and the only place where mode and defaults apply. A gate returns 1 when it
 * has decided and 0 to go on; what no gate decides is denied.
 */
#pragma once

#include "lib/event.h"
#include "lib/query.h"
#include "lib/reply.h"

struct decision {
    __u64 rule;
    __u64 name_hash; /* the learned name that allowed it */
    __u32 scratch;   /* claimed by the caller */
    __u8 verdict;
    __u8 reason;
    __u8 has_name; /* the scratch holds the name asked for: put it into the event */
    __u8 may_cache;
};

/* A decision in one word, as the global functions give it; its rule and name are in the scratch's `best`. */
static __always_inline __u32 verdict__pack(const struct decision *d) {
    struct scratch *s = scratch__at(d->scratch);

    if (s) {
        s->best.rule = d->rule;
        s->best.name_hash = d->name_hash;
    }
    return (__u32)d->verdict | (__u32)d->reason << 8 | (__u32)d->has_name << 16 | (__u32)d->may_cache << 24;
}

static __always_inline void verdict__unpack(struct decision *d, __u32 packed) {
    const struct scratch *s = scratch__at(d->scratch);

    d->verdict = (__u8)packed;
    d->reason = (__u8)(packed >> 8);
    d->has_name = (__u8)(packed >> 16);
    d->may_cache = (__u8)(packed >> 24);
    d->rule = s ? s->best.rule : 0;
    d->name_hash = s ? s->best.name_hash : 0;
}

static __always_inline int verdict__set(struct decision *d, __u8 verdict, __u8 reason, __u64 rule) {
    d->verdict = verdict;
    d->reason = reason;
    d->rule = rule;
    return 1;
}
#define verdict__allow(d, reason, rule) verdict__set(d, PS_ALLOW, reason, rule)
#define verdict__deny(d, reason, rule) verdict__set(d, PS_DENY, reason, rule)

/* Programs nest deeper than there is scratch: what can't be judged is denied. */
static __always_inline void verdict__no_scratch(struct decision *d) {
    struct ps_gate *g = identity__gate();

    if (g)
        __sync_fetch_and_add(&g->scratch_lost, 1);
    verdict__deny(d, PS_R_SCRATCH, 0);
}

/* Enforce judges; audit says what it would have done; open passes all. An unknown mode (unbound) denies. */
static __always_inline void verdict__apply_mode(struct decision *d, const struct identity *me) {
    if (d->verdict == PS_DENY && me->policy->default_reason == PS_R_BIRTH)
        d->reason = PS_R_BIRTH; /* whatever else is wrong with it */
    if (me->policy->mode == PS_MODE_OPEN)
        verdict__allow(d, PS_R_OPEN, 0);
    else if (me->policy->mode == PS_MODE_AUDIT && d->verdict == PS_DENY)
        d->verdict = PS_WOULD_DENY;
    else if (me->policy->mode != PS_MODE_ENFORCE && me->policy->mode != PS_MODE_AUDIT)
        verdict__deny(d, PS_R_UNBOUND, 0);
}

/* ---- DNS ---- */

static __always_inline int verdict__is_dns(const struct flow *f) {
    if (f->protocol != PS_PROTO_UDP && f->protocol != PS_PROTO_TCP)
        return 0;
    return f->remote_port == PS_PORT_DNS || address__is_docker_resolver(&f->remote);
}

/* Port 53 is for questions to resolvers, whatever the rules say. PS_NONE: the payload decides (verdict__query). */
static __always_inline int verdict__dns(struct decision *d, const struct flow *f, const struct identity *me,
                                        int has_payload) {
    if (!verdict__is_dns(f))
        return 0;
    if (!match__is_resolver(&f->remote, me->policy, PS_BINDING_POLICY(me->binding)))
        return verdict__deny(d, PS_R_RESOLVER, 0);
    if (!has_payload || (f->protocol == PS_PROTO_TCP && !f->payload_length))
        return verdict__allow(d, PS_R_DNS_SESSION, 0);
    return verdict__set(d, PS_NONE, PS_R_DNS_QUERY, 0);
}

/*
 * What the payload asks for, as query.h judges it. Called by the hook itself and not by verdict__egress: the chain of
 * calls below it would need more than the 512 octets of stack that a chain may have.
 */
static __always_inline void verdict__query(struct decision *d, struct __sk_buff *skb, const struct flow *f) {
    const struct scratch *s;
    int reason;

    if (f->protocol == PS_PROTO_TCP)
        reason = query__judge_stream(skb, d->scratch);
    else if (skb->gso_size)
        reason = PS_R_DNS_GSO;
    else
        reason = query__judge(skb, d->scratch, f->payload_offset, f->payload_length);
    s = scratch__at(d->scratch);
    d->has_name = 1;
    verdict__set(d, reason == PS_R_DNS_QUERY || reason == PS_R_REVERSE_QUERY ? PS_ALLOW : PS_DENY,
                 (__u8)reason, s ? s->best.rule : 0);
}

/* ---- addresses ---- */

static __always_inline int verdict__loopback(struct decision *d, const struct flow *f,
                                             const struct identity *me) {
    if (!address__is_loopback(&f->remote))
        return 0;
    if (me->policy->loopback == PS_ALLOW)
        return verdict__allow(d, PS_R_LOOPBACK, 0);
    return verdict__deny(d, PS_R_LOOPBACK_DENIED, 0);
}

static __always_inline int verdict__protocol(struct decision *d, const struct flow *f) {
    int v4 = address__is_v4(&f->remote);

    if (f->protocol == PS_PROTO_TCP || f->protocol == PS_PROTO_UDP ||
        f->protocol == (v4 ? PS_PROTO_ICMP : PS_PROTO_ICMPV6))
        return 0;
    return verdict__deny(d, PS_R_PROTOCOL, 0);
}

/* The rules: deny beats allow, CIDR before learned names, default deny. `open_name`: see match__learned_names. */
static __always_inline int verdict__rules(struct decision *d, const struct flow *f, const struct identity *me,
                                          __u64 open_name) {
    const struct ps_match *m = match__address(&f->remote, PS_BINDING_POLICY(me->binding));
    struct scratch *s = scratch__at(d->scratch);

    if (!s)
        return verdict__deny(d, PS_R_SCRATCH, 0);
    __builtin_memset(&s->best, 0, sizeof(s->best));
    if (m)
        match__port(&s->best, m->rule_set, f->protocol, f->remote_port, 0);
    match__learned_names(d->scratch, open_name);
    d->may_cache = 1;
    d->name_hash = s->best.name_hash;
    if (s->best.verdict == PS_DENY)
        return verdict__deny(d, PS_R_DENY_RULE, s->best.rule);
    if (s->best.verdict == PS_ALLOW)
        return verdict__allow(d, s->best.name_hash ? PS_R_LEARNED : PS_R_CIDR, s->best.rule);
    return verdict__deny(d, me->policy->default_reason ? me->policy->default_reason : PS_R_NO_RULE, 0);
}

/* ---- who opened it ---- */

/*
 * A packet in answer to what others opened to us. A bare SYN+ACK is sent by no one who did not get a SYN: raw sockets,
 * which could, have been refused before.
 */
static __always_inline int verdict__tcp_reply(struct decision *d, const struct flow *f,
                                              const struct identity *me, __u32 accepted) {
    const __u8 both = PS_TCP_SYN | PS_TCP_ACK;

    if (f->protocol != PS_PROTO_TCP || !(accepted || ((f->tcp_flags & both) == both && !f->payload_length)))
        return 0;
    d->may_cache = accepted; /* not on the listener, whose SYN+ACKs go to many */
    if (me->policy->inbound == PS_ALLOW)
        return verdict__allow(d, PS_R_REPLY, 0);
    return verdict__deny(d, PS_R_REPLY_DENIED, 0);
}

static __always_inline int verdict__udp_reply(struct decision *d, const struct flow *f,
                                              const struct identity *me, const struct ps_udp_peer *peer) {
    if (f->protocol != PS_PROTO_UDP || me->policy->inbound != PS_ALLOW)
        return 0;
    if (!reply__is_live(peer) || peer->opened_by_us)
        return 0;
    return verdict__allow(d, PS_R_REPLY, 0);
}

/* ---- sources ---- */

/* Source port 53 could forge an answer to the container itself; over TCP only on the loopback device. */
static __always_inline int verdict__source_port(struct decision *d, const struct flow *f) {
    if (f->local_port != PS_PORT_DNS)
        return 0;
    if (f->protocol != PS_PROTO_UDP && (f->protocol != PS_PROTO_TCP || !f->over_lo))
        return 0;
    return verdict__deny(d, PS_R_SOURCE_PORT, 0);
}

/* So could a resolver's address as the source (IP_TRANSPARENT, raw). */
static __always_inline int verdict__source_address(struct decision *d, const struct flow *f,
                                                   const struct identity *me) {
    if (me->policy->resolvers_any ||
        !match__is_resolver(&f->local, me->policy, PS_BINDING_POLICY(me->binding)))
        return 0;
    return verdict__deny(d, PS_R_SOURCE_ADDRESS, 0);
}

/* ---- the verdicts of the hooks ---- */

/* Is what the socket remembers said of this flow? A socket may be disconnected and connect elsewhere. */
static __always_inline int verdict__remembers(const struct ps_socket *memory, const struct flow *f) {
    union ps_address remote;

    if (!memory || memory->remote_port != f->remote_port)
        return 0;
    __builtin_memcpy(remote.octets, memory->remote, 16);
    return remote.halves[0] == f->remote.halves[0] && remote.halves[1] == f->remote.halves[1];
}

/* The verdict of an open TCP flow, as long as nothing has changed since it fell. */
static __always_inline int verdict__remembered(struct decision *d, const struct identity *me,
                                               const struct ps_socket *memory) {
    if (memory->binding != me->binding || memory->serial != me->serial || memory->slot != me->slot)
        return 0;
    return verdict__set(d, memory->verdict, memory->reason, memory->rule);
}

static __always_inline void verdict__order_egress(struct decision *d, const struct flow *f,
                                                  const struct identity *me, __u64 open_name,
                                                  __u32 accepted) {
    struct ps_udp_peer *peer = 0;

    if (verdict__source_port(d, f) || verdict__dns(d, f, me, 1) || verdict__loopback(d, f, me))
        return;
    if (verdict__tcp_reply(d, f, me, accepted) || verdict__protocol(d, f) ||
        verdict__source_address(d, f, me))
        return;
    if (f->protocol == PS_PROTO_UDP)
        peer = reply__find(d->scratch);
    if (verdict__udp_reply(d, f, me, peer))
        return;
    verdict__rules(d, f, me, open_name ? open_name : reply__open_name(peer));
    if (f->protocol == PS_PROTO_UDP && d->verdict == PS_ALLOW)
        reply__touch(d->scratch, 1, d->name_hash);
}

/*
 * The packet that stands in the scratch leaves. `open_name`: the learned name its TCP socket was allowed by, or 0;
 * `accepted`: others opened the socket. Gives the decision packed, before the mode; PS_NONE: see verdict__dns.
 */
PS_GLOBAL __u32 verdict__egress(__u32 index, __u64 open_name, __u32 accepted) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_egress(&d, &s->flow, &me, open_name, accepted);
    return verdict__pack(&d);
}

/* An attempt to connect or send, before there is a packet: no payload, no certainty about the socket. */
static __always_inline void verdict__order_attempt(struct decision *d, const struct flow *f,
                                                   const struct identity *me) {
    struct ps_udp_peer *peer = 0;

    if (address__is_unspecified(&f->remote)) {
        verdict__allow(d, PS_R_LOOPBACK, 0); /* becomes a loopback address: the packet hook judges that */
        return;
    }
    if (verdict__dns(d, f, me, 0) || verdict__loopback(d, f, me))
        return;
    if (f->protocol == PS_PROTO_UDP)
        peer = reply__find(d->scratch);
    if (verdict__udp_reply(d, f, me, peer))
        return;
    verdict__rules(d, f, me, reply__open_name(peer));
}

PS_GLOBAL __u32 verdict__attempt(__u32 index) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_attempt(&d, &s->flow, &me);
    return verdict__pack(&d);
}

/* A packet that arrives: only `inbound` decides, and what we opened ourselves may be answered. */
static __always_inline void verdict__order_ingress(struct decision *d, const struct flow *f,
                                                   const struct identity *me) {
    int opens = f->protocol == PS_PROTO_TCP && (f->tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN;
    struct ps_udp_peer *peer;

    verdict__allow(d, PS_R_INBOUND, 0);
    if (address__is_loopback(&f->remote) && me->policy->loopback == PS_ALLOW)
        return;
    if (opens && me->policy->inbound != PS_ALLOW)
        verdict__deny(d, PS_R_INBOUND_DENIED, 0);
    if (f->protocol != PS_PROTO_UDP)
        return;
    /* What comes over lo is from this host, maybe from the container itself under a source it made up. */
    if (f->over_lo) {
        if (me->policy->inbound != PS_ALLOW)
            verdict__deny(d, PS_R_INBOUND_DENIED, 0);
        return;
    }
    peer = reply__find(d->scratch);
    if (reply__is_live(peer) && peer->opened_by_us)
        reply__touch(d->scratch, 1, peer->name_hash);
    else if (me->policy->inbound == PS_ALLOW)
        reply__touch(d->scratch, 0, 0);
    else
        verdict__deny(d, PS_R_INBOUND_DENIED, 0);
}

PS_GLOBAL __u32 verdict__ingress(__u32 index) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_ingress(&d, &s->flow, &me);
    return verdict__pack(&d);
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
