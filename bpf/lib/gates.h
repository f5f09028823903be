/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The gates that a packet or an attempt passes, one function each. A gate returns 1 when it has decided and 0 to go
 * on. In which order they stand is verdict.h's.
 */
#pragma once

#include "lib/decision.h"
#include "lib/kernel.h"
#include "lib/query.h"
#include "lib/reply.h"

/* ---- DNS ---- */

static __always_inline int gate__is_dns(const struct flow *f) {
    if (f->protocol != PS_PROTO_UDP && f->protocol != PS_PROTO_TCP)
        return 0;
    if (f->packets && !f->over_lo && address__is_loopback(&f->remote))
        return 0; /* see gate__loopback */
    return f->remote_port == PS_PORT_DNS || address__is_docker_resolver(&f->remote);
}

/* Port 53 is for questions to resolvers, whatever the rules say. PS_NONE: the payload decides (gate__query). */
static __always_inline int gate__dns(struct decision *d, const struct flow *f, const struct identity *me,
                                     int has_payload) {
    if (!gate__is_dns(f))
        return 0;
    if (!match__is_resolver(&f->remote, me->policy, PS_BINDING_POLICY(me->binding)))
        return decision__deny(d, PS_R_RESOLVER, 0);
    if (!has_payload || (f->protocol == PS_PROTO_TCP && !f->payload_length))
        return decision__allow(d, PS_R_DNS_SESSION, 0);
    return decision__set(d, PS_NONE, PS_R_DNS_QUERY, 0);
}

/*
 * Could the container put another question where this one stands, once it is judged? UDP's octets are the kernel's own if
 * they are linear; TCP's never are, but pages that are not the kernel's are marked.
 */
static __always_inline int gate__may_change(struct __sk_buff *skb, const struct flow *f) {
    __u64 linear = (__u64)skb->data_end - (__u64)skb->data;

    if (f->protocol == PS_PROTO_UDP)
        return f->payload_offset + f->payload_length > linear;
    return kernel__shares_pages(skb);
}

/*
 * What the payload asks for, as query.h judges it. Called by the hook itself and not by verdict__egress: the chain of
 * calls below it would need more than the 512 octets of stack that a chain may have.
 */
static __always_inline void gate__query(struct decision *d, struct __sk_buff *skb, const struct flow *f) {
    const struct scratch *s;
    int reason;

    if (skb->gso_size)
        reason =
            PS_R_DNS_GSO; /* of TCP, too: a question fits a segment, and what is sent again would begin anywhere */
    else if (gate__may_change(skb, f))
        reason = PS_R_DNS_SHARED;
    else if (f->protocol == PS_PROTO_TCP)
        reason = query__judge_stream(skb, d->scratch);
    else
        reason = query__judge(skb, d->scratch, f->payload_offset, f->payload_length);
    s = scratch__at(d->scratch);
    d->has_name = 1;
    decision__set(d, reason == PS_R_DNS_QUERY || reason == PS_R_REVERSE_QUERY ? PS_ALLOW : PS_DENY,
                  (__u8)reason, s ? s->best.rule : 0);
    if (s && reason == PS_R_DNS_QUERY && learn__knows_name(d->scratch))
        d->name_hash = s->name_hash; /* counted by it; of a segment with several questions, the last one's */
}

/* ---- addresses ---- */

static __always_inline int gate__loopback(struct decision *d, const struct flow *f,
                                          const struct identity *me) {
    if (!address__is_loopback(&f->remote))
        return 0;
    if (f->packets && !f->over_lo)
        return decision__deny(d, PS_R_LOOPBACK_DENIED,
                              0); /* a socket bound to a device sends it by that one */
    if (me->policy->loopback == PS_ALLOW)
        return decision__allow(d, PS_R_LOOPBACK, 0);
    return decision__deny(d, PS_R_LOOPBACK_DENIED, 0);
}

static __always_inline int gate__protocol(struct decision *d, const struct flow *f) {
    int v4 = address__is_v4(&f->remote);

    if (f->protocol == PS_PROTO_TCP || f->protocol == PS_PROTO_UDP ||
        f->protocol == (v4 ? PS_PROTO_ICMP : PS_PROTO_ICMPV6))
        return 0;
    return decision__deny(d, PS_R_PROTOCOL, 0);
}

/* The rules: deny beats allow, CIDR before learned names, default deny. `open_name`: see match__learned_names. */
static __always_inline int gate__rules(struct decision *d, const struct flow *f, const struct identity *me,
                                       __u64 open_name) {
    const struct ps_match *m = match__address(&f->remote, PS_BINDING_POLICY(me->binding));
    struct scratch *s = scratch__at(d->scratch);

    if (!s)
        return decision__deny(d, PS_R_SCRATCH, 0);
    __builtin_memset(&s->best, 0, sizeof(s->best));
    if (m)
        match__port(&s->best, m->rule_set, f->protocol, f->remote_port, 0);
    match__learned_names(d->scratch, open_name);
    d->may_cache = 1;
    d->name_hash = s->best.name_hash;
    if (s->best.verdict == PS_DENY)
        return decision__deny(d, PS_R_DENY_RULE, s->best.rule);
    if (s->best.verdict == PS_ALLOW)
        return decision__allow(d, s->best.name_hash ? PS_R_LEARNED : PS_R_CIDR, s->best.rule);
    return decision__deny(d, me->policy->default_reason ? me->policy->default_reason : PS_R_NO_RULE, 0);
}

/* ---- who opened it ---- */

/*
 * A packet in answer to what others opened to us. A bare SYN+ACK is sent by no one who did not get a SYN: raw sockets,
 * which could, have been refused before.
 */
static __always_inline int gate__tcp_reply(struct decision *d, const struct flow *f,
                                           const struct identity *me, __u32 accepted) {
    const __u8 both = PS_TCP_SYN | PS_TCP_ACK;

    if (f->protocol != PS_PROTO_TCP || !(accepted || ((f->tcp_flags & both) == both && !f->payload_length)))
        return 0;
    d->may_cache = accepted != 0; /* not on the listener, whose SYN+ACKs go to many */
    if (me->policy->inbound == PS_ALLOW)
        return decision__allow(d, PS_R_REPLY, 0);
    return decision__deny(d, PS_R_REPLY_DENIED, 0);
}

static __always_inline int gate__udp_reply(struct decision *d, const struct flow *f,
                                           const struct identity *me, const struct ps_udp_peer *peer) {
    if (f->protocol != PS_PROTO_UDP || me->policy->inbound != PS_ALLOW)
        return 0;
    if (!reply__is_live(peer) || peer->opened_by_us)
        return 0;
    return decision__allow(d, PS_R_REPLY, 0);
}

/* ---- sources ---- */

/* Source port 53 could forge an answer to the container itself; over TCP only on the loopback device. */
static __always_inline int gate__source_port(struct decision *d, const struct flow *f) {
    if (f->local_port != PS_PORT_DNS)
        return 0;
    if (f->protocol != PS_PROTO_UDP && (f->protocol != PS_PROTO_TCP || !f->over_lo))
        return 0;
    return decision__deny(d, PS_R_SOURCE_PORT, 0);
}

/* So could a resolver's address as the source (IP_TRANSPARENT, raw). */
static __always_inline int gate__source_address(struct decision *d, const struct flow *f,
                                                const struct identity *me) {
    if (me->policy->resolvers_any ||
        !match__is_resolver(&f->local, me->policy, PS_BINDING_POLICY(me->binding)))
        return 0;
    return decision__deny(d, PS_R_SOURCE_ADDRESS, 0);
}
