/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The order of gates, written once, and the only place where mode and defaults apply. A gate returns 1 when it
 * has decided and 0 to go on; what no gate decides is denied.
 */
#pragma once

#include "lib/event.h"
#include "lib/learn.h"
#include "lib/reply.h"

struct decision {
    __u64 rule;
    __u64 name_hash;              /* the learned name that allowed it */
    __u32 scratch;                /* claimed by the caller */
    __u8 verdict;
    __u8 reason;
    __u8 has_name;                /* the scratch holds the name asked for: put it into the event */
    __u8 may_cache;
};

static __always_inline int verdict__set(struct decision *d, __u8 verdict, __u8 reason, __u64 rule)
{
    d->verdict = verdict;
    d->reason = reason;
    d->rule = rule;
    return 1;
}
#define verdict__allow(d, reason, rule) verdict__set(d, PS_ALLOW, reason, rule)
#define verdict__deny(d, reason, rule) verdict__set(d, PS_DENY, reason, rule)

/* Enforce judges; audit says what it would have done; open passes all. An unknown mode (unbound) denies. */
static __always_inline void verdict__apply_mode(struct decision *d, const struct identity *me)
{
    if (me->policy->mode == PS_MODE_OPEN)
        verdict__allow(d, PS_R_OPEN, 0);
    else if (me->policy->mode == PS_MODE_AUDIT && d->verdict == PS_DENY)
        d->verdict = PS_WOULD_DENY;
    else if (me->policy->mode != PS_MODE_ENFORCE && me->policy->mode != PS_MODE_AUDIT)
        verdict__deny(d, PS_R_UNBOUND, 0);
}

/* ---- DNS ---- */

static __always_inline int verdict__is_dns(const struct flow *f)
{
    if (f->protocol != PS_PROTO_UDP && f->protocol != PS_PROTO_TCP)
        return 0;
    return f->remote_port == PS_PORT_DNS || address__is_docker_resolver(&f->remote);
}

/* A name that no rule allows: the reverse name of an address that may be reached passes all the same. */
static __always_inline int verdict__reverse_name(struct decision *d, const struct identity *me)
{
    struct scratch *s = scratch__at(d->scratch);
    const struct ps_match *m;
    union ps_address a;
    int is_learned;
    __u32 spare;

    if (!s || !name__reverse_address(d->scratch))
        return verdict__deny(d, PS_R_NAME_NOT_ALLOWED, 0);
    a = s->address;
    m = match__address(&a, PS_BINDING_POLICY(me->binding));
    if (m && m->verdict == PS_DENY)
        return verdict__deny(d, PS_R_REVERSE_NOT_ALLOWED, m->rule);
    if (m && m->verdict == PS_ALLOW)
        return verdict__allow(d, PS_R_REVERSE_QUERY, m->rule);
    spare = scratch__claim();     /* judging a learned name again would overwrite the question */
    is_learned = spare != PS_SCRATCH_NONE && match__is_learned(&a, spare, me);
    scratch__release(spare);
    if (is_learned)
        return verdict__allow(d, PS_R_REVERSE_QUERY, 0);
    return verdict__deny(d, PS_R_REVERSE_NOT_ALLOWED, 0);
}

/* Judges the question in the scratch and, if the query may leave, records it. */
static __always_inline int verdict__question(struct decision *d, const struct flow *f, const struct identity *me,
                                             const struct ps_gate *g)
{
    struct scratch *s = scratch__at(d->scratch);
    __u16 policy = PS_BINDING_POLICY(me->binding);
    int verdict, reason;

    if (!s)
        return verdict__deny(d, PS_R_SCRATCH, 0);
    d->has_name = 1;
    verdict = match__name(d->scratch, policy);
    if (verdict == PS_DENY)
        verdict__deny(d, PS_R_NAME_DENIED, s->match.rule);
    else if (verdict == PS_ALLOW)
        verdict__allow(d, PS_R_DNS_QUERY, s->match.rule);
    else
        verdict__reverse_name(d, me);
    if (d->verdict == PS_DENY && me->policy->mode == PS_MODE_ENFORCE)
        return 1;
    learn__fill_query_key(&s->query_key, f, me->slot, s->id);
    s->query.name_hash = s->name_hash;
    s->query.sent_ns = bpf_ktime_get_ns();
    /* A name that is only watched (audit) teaches addresses without a rule set: none is allowed by it. */
    s->query.rule_set = verdict == PS_ALLOW ? s->match.rule_set : 0;
    s->query.private_set = verdict == PS_ALLOW ? s->match.private_set : 0;
    s->query.generation = PS_BINDING_GENERATION(me->binding);
    s->query.min_ttl_s = me->policy->min_ttl_s;
    s->query.type = s->type;
    s->query.pad = 0;
    reason = learn__store_query(d->scratch, g->queries_per_slot);
    if (reason)
        return verdict__deny(d, (__u8)reason, 0);
    return 1;
}

/* One query message at `offset` of the packet. */
static __always_inline int verdict__query(struct decision *d, struct __sk_buff *skb, const struct flow *f,
                                          const struct identity *me, __u32 offset, __u32 length)
{
    const struct ps_gate *g = identity__gate();
    int reason;

    if (!g)
        return verdict__deny(d, PS_R_SCRATCH, 0);
    if (length > PS_ANSWER_MAX)
        return verdict__deny(d, PS_R_DNS_TRAILING, 0);
    reason = dns__copy(skb, d->scratch, offset, length);
    if (!reason)
        reason = dns__read_query(d->scratch, g->hash_seed);
    if (reason)
        return verdict__deny(d, (__u8)reason, 0);
    return verdict__question(d, f, me, g);
}

/* A segment to port 53 is one or more whole messages, each after its length (RFC 1035, 4.2.2). */
static __always_inline int verdict__stream(struct decision *d, struct __sk_buff *skb, const struct flow *f,
                                           const struct identity *me)
{
    __u32 at = f->payload_offset, left = f->payload_length;
    __u8 prefix[2];

    for (int i = 0; i < PS_DNS_MESSAGES; i++) {
        __u32 length;

        if (left < 2 || cursor__load(skb, at, prefix, 2))
            return verdict__deny(d, PS_R_DNS_FRAMING, 0);
        length = cursor__be16(prefix);
        if (length > left - 2)
            return verdict__deny(d, PS_R_DNS_FRAMING, 0);
        verdict__query(d, skb, f, me, at + 2, length);
        if (d->verdict == PS_DENY)
            return 1;
        at += 2 + length;
        left -= 2 + length;
        if (!left)
            return 1;
    }
    return verdict__deny(d, PS_R_DNS_FRAMING, 0);
}

/* Port 53 is for questions to resolvers, whatever the rules say. `skb` is null where no payload is in sight yet. */
static __always_inline int verdict__dns(struct decision *d, struct __sk_buff *skb, const struct flow *f,
                                        const struct identity *me)
{
    if (!verdict__is_dns(f))
        return 0;
    if (!match__is_resolver(&f->remote, me->policy, PS_BINDING_POLICY(me->binding)))
        return verdict__deny(d, PS_R_RESOLVER, 0);
    if (!skb || (f->protocol == PS_PROTO_TCP && !f->payload_length))
        return verdict__allow(d, PS_R_DNS_SESSION, 0);
    if (f->protocol == PS_PROTO_TCP)
        return verdict__stream(d, skb, f, me);
    if (skb->gso_size)
        return verdict__deny(d, PS_R_DNS_GSO, 0);
    return verdict__query(d, skb, f, me, f->payload_offset, f->payload_length);
}

/* ---- addresses ---- */

static __always_inline int verdict__loopback(struct decision *d, const struct flow *f, const struct identity *me)
{
    if (!address__is_loopback(&f->remote))
        return 0;
    if (me->policy->loopback == PS_ALLOW)
        return verdict__allow(d, PS_R_LOOPBACK, 0);
    return verdict__deny(d, PS_R_LOOPBACK_DENIED, 0);
}

static __always_inline int verdict__protocol(struct decision *d, const struct flow *f)
{
    int v4 = address__is_v4(&f->remote);

    if (f->protocol == PS_PROTO_TCP || f->protocol == PS_PROTO_UDP ||
        f->protocol == (v4 ? PS_PROTO_ICMP : PS_PROTO_ICMPV6))
        return 0;
    return verdict__deny(d, PS_R_PROTOCOL, 0);
}

/* The rules: deny beats allow, CIDR before learned names, default deny. `open_name`: see match__learned_names. */
static __always_inline int verdict__rules(struct decision *d, const struct flow *f, const struct identity *me,
                                          __u64 open_name)
{
    const struct ps_match *m = match__address(&f->remote, PS_BINDING_POLICY(me->binding));
    struct finding best = {};

    if (m)
        match__port(&best, m->rule_set, f->protocol, f->remote_port, 0);
    match__learned_names(&best, f, d->scratch, me, open_name);
    d->may_cache = 1;
    d->name_hash = best.name_hash;
    if (best.verdict == PS_DENY)
        return verdict__deny(d, PS_R_DENY_RULE, best.rule);
    if (best.verdict == PS_ALLOW)
        return verdict__allow(d, best.name_hash ? PS_R_LEARNED : PS_R_CIDR, best.rule);
    return verdict__deny(d, me->policy->default_reason ? me->policy->default_reason : PS_R_NO_RULE, 0);
}

/* ---- who opened it ---- */

/* A packet in answer to what others opened to us. SYN+ACK is sent by no one who did not get a SYN. */
static __always_inline int verdict__tcp_reply(struct decision *d, const struct flow *f, const struct identity *me,
                                              const struct ps_socket *cache)
{
    const __u8 both = PS_TCP_SYN | PS_TCP_ACK;

    if (f->protocol != PS_PROTO_TCP || !((cache && cache->accepted) || (f->tcp_flags & both) == both))
        return 0;
    if (me->policy->inbound == PS_ALLOW)
        return verdict__allow(d, PS_R_REPLY, 0);
    return verdict__deny(d, PS_R_REPLY_DENIED, 0);
}

static __always_inline int verdict__udp_reply(struct decision *d, const struct flow *f, const struct identity *me,
                                              const struct ps_udp_peer *peer)
{
    if (f->protocol != PS_PROTO_UDP || me->policy->inbound != PS_ALLOW)
        return 0;
    if (!reply__is_live(peer) || peer->opened_by_us)
        return 0;
    return verdict__allow(d, PS_R_REPLY, 0);
}

/* ---- sources ---- */

/* Source port 53 could forge an answer to the container itself. */
static __always_inline int verdict__source_port(struct decision *d, const struct flow *f)
{
    if (f->local_port != PS_PORT_DNS || (f->protocol != PS_PROTO_UDP && f->protocol != PS_PROTO_TCP))
        return 0;
    return verdict__deny(d, PS_R_SOURCE_PORT, 0);
}

/* So could a resolver's address as the source (IP_TRANSPARENT, raw). */
static __always_inline int verdict__source_address(struct decision *d, const struct flow *f, const struct identity *me)
{
    if (me->policy->resolvers_any || !match__is_resolver(&f->local, me->policy, PS_BINDING_POLICY(me->binding)))
        return 0;
    return verdict__deny(d, PS_R_SOURCE_ADDRESS, 0);
}

/* ---- the verdicts of the hooks ---- */

/* The verdict of an open TCP flow, as long as nothing has changed since it fell. */
static __always_inline int verdict__cached(struct decision *d, const struct identity *me, const struct ps_socket *cache)
{
    if (!cache || cache->binding != me->binding || cache->serial != me->serial || cache->slot != me->slot)
        return 0;
    return verdict__set(d, cache->verdict, cache->reason, cache->rule);
}

/*
 * A packet that leaves. `cache`: what its TCP socket remembers, or null. The caller has claimed d->scratch, and
 * has put the reason of a packet that packet.h refused into d->reason.
 */
static __always_inline void verdict__egress(struct decision *d, struct __sk_buff *skb, const struct flow *f,
                                            const struct identity *me, const struct ps_socket *cache)
{
    struct ps_udp_peer_key key;
    struct ps_udp_peer *peer = 0;

    if (verdict__source_port(d, f) || verdict__dns(d, skb, f, me) || verdict__loopback(d, f, me))
        return;
    if (verdict__tcp_reply(d, f, me, cache) || verdict__protocol(d, f) || verdict__source_address(d, f, me))
        return;
    if (f->protocol == PS_PROTO_UDP) {
        reply__key(&key, f, me->slot);
        peer = bpf_map_lookup_elem(&udp_peers, &key);
    }
    if (verdict__udp_reply(d, f, me, peer))
        return;
    verdict__rules(d, f, me, cache && cache->serial == me->serial ? cache->name_hash : 0);
    if (f->protocol == PS_PROTO_UDP && d->verdict == PS_ALLOW)
        reply__touch(&key, peer, 1, d->scratch, me->slot);
}

/* An attempt to connect or send, before there is a packet: no payload, no certainty about the socket. */
static __always_inline void verdict__attempt(struct decision *d, const struct flow *f, const struct identity *me)
{
    struct ps_udp_peer_key key;

    if (verdict__dns(d, 0, f, me) || verdict__loopback(d, f, me))
        return;
    if (f->protocol == PS_PROTO_UDP) {
        reply__key(&key, f, me->slot);
        if (verdict__udp_reply(d, f, me, bpf_map_lookup_elem(&udp_peers, &key)))
            return;
    }
    verdict__rules(d, f, me, 0);
}

/* A packet that arrives: only `inbound` decides, and what we opened ourselves may be answered. */
static __always_inline void verdict__ingress(struct decision *d, const struct flow *f, const struct identity *me)
{
    int opens = f->protocol == PS_PROTO_TCP && (f->tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN;
    struct ps_udp_peer_key key;
    struct ps_udp_peer *peer;

    verdict__allow(d, PS_R_INBOUND, 0);
    if (address__is_loopback(&f->remote) && me->policy->loopback == PS_ALLOW)
        return;
    if (opens && me->policy->inbound != PS_ALLOW)
        verdict__deny(d, PS_R_INBOUND_DENIED, 0);
    if (f->protocol != PS_PROTO_UDP)
        return;
    reply__key(&key, f, me->slot);
    peer = bpf_map_lookup_elem(&udp_peers, &key);
    if (reply__is_live(peer) && peer->opened_by_us)
        reply__touch(&key, peer, 1, d->scratch, me->slot);
    else if (me->policy->inbound == PS_ALLOW)
        reply__touch(&key, peer, 0, d->scratch, me->slot);
    else
        verdict__deny(d, PS_R_INBOUND_DENIED, 0);
}
