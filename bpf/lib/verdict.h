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

static __always_inline void verdict__order_egress(struct decision *d, const struct flow *f,
                                                  const struct identity *me, struct scratch *s) {
    struct ps_udp_peer *peer = 0;

    if (gate__source_port(d, f) || gate__dns(d, f, me, 1) || gate__loopback(d, f, me))
        return;
    if (gate__source_address(d, f, me) || gate__tcp_reply(d, f, me, s->past & PAST_ACCEPTED) ||
        gate__protocol(d, f))
        return;
    if (f->protocol == PS_PROTO_UDP)
        peer = reply__find(d->scratch);
    if (gate__udp_reply(d, f, me, peer))
        return;
    gate__rules(d, f, me, s->open_name ? s->open_name : reply__open_name(peer));
    if (f->protocol != PS_PROTO_UDP)
        return;
    /* From the second datagram on: a socket that asks once and closes is not worth the memory. */
    d->opens = !(reply__is_live(peer) && peer->opened_by_us);
    d->may_cache = d->may_cache && !d->opens;
    s->touches = d->verdict == PS_ALLOW;
}

/* The packet that stands in the scratch leaves. Gives the decision packed, before the mode; PS_NONE: see gate__dns. */
PS_GLOBAL __u32 verdict__egress(__u32 index) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_egress(&d, &s->flow, &me, s);
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

static __always_inline void verdict__answered(struct decision *d, const struct ps_udp_peer *peer) {
    d->rule = peer->rule;
    d->name_hash = peer->name_hash;
    reply__touch(d->scratch, 1, d->name_hash, d->rule);
}

/* A packet that arrives: only `inbound` decides, and what we opened ourselves may be answered. */
static __always_inline void verdict__order_ingress(struct decision *d, const struct flow *f,
                                                   const struct identity *me, const struct scratch *s) {
    int opens = f->protocol == PS_PROTO_TCP && (f->tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN;
    struct ps_udp_peer *peer;

    decision__allow(d, PS_R_INBOUND,
                    s->open_rule); /* in a flow of ours: counted and charged as what we send in it */
    d->name_hash = s->open_name;
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
        verdict__answered(d, peer);
    else if (me->policy->inbound == PS_ALLOW)
        reply__touch(d->scratch, 0, 0, 0);
    else
        decision__deny(d, PS_R_INBOUND_DENIED, 0);
}

PS_GLOBAL __u32 verdict__ingress(__u32 index) {
    struct decision d = {.scratch = index, .verdict = PS_DENY, .reason = PS_R_SCRATCH};
    struct scratch *s = scratch__at(index);
    struct identity me = {};

    if (s && identity__of_binding(&me, s->slot, s->binding))
        verdict__order_ingress(&d, &s->flow, &me, s);
    return decision__pack(&d);
}

/* Does the scratch's packet begin a connection? */
static __always_inline int verdict__opens(const struct scratch *s) {
    return s->flow.direction == PS_EGRESS && s->flow.protocol == PS_PROTO_TCP && !(s->past & PAST_AGAIN) &&
           (s->flow.tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN;
}

/* What the policy limits of the container as a whole, and of the rule: charges. */
static __always_inline __u64 verdict__container_charge(const struct identity *me) {
    return me->policy->limited & PS_LIMITED_CONTAINER
               ? limiter__find(me->slot, PS_BINDING_POLICY(me->binding), 0)
               : 0;
}

static __always_inline __u64 verdict__rule_charge(const struct identity *me, __u64 rule) {
    return me->policy->limited & PS_LIMITED_RULES && rule
               ? limiter__find(me->slot, PS_BINDING_POLICY(me->binding), rule)
               : 0;
}

/* The question in a packet that does not leave; of several in a segment the last, since the scratch knows its rule alone. */
static __always_inline void verdict__return_query(const struct scratch *s, const struct identity *me) {
    if (s->flow.direction != PS_EGRESS || !s->flow.payload_length || !gate__is_dns(&s->flow))
        return;
    limiter__return_one(s->container, PS_RATE_QUERIES);
    limiter__return_one(verdict__rule_charge(me, s->best.rule), PS_RATE_QUERIES);
}

/*
 * What was allowed is charged, and only then noted as open. `opens`: an attempt to connect, or a UDP conversation. Loopback
 * is not charged, nor what stays on this host. 0, or the reason of the limit that does not hold it. Leaves the charges in
 * the scratch, for the socket's memory.
 */
PS_GLOBAL __u32 verdict__charge(__u32 index, __u32 opens) {
    struct scratch *s = scratch__at(index);
    struct identity me = {};
    __u32 reason = 0;

    if (!s || !identity__of_binding(&me, s->slot, s->binding))
        return PS_R_SCRATCH;
    opens = opens || verdict__opens(s);
    s->container = verdict__container_charge(&me);
    s->by_rule = gate__is_dns(&s->flow)
                     ? 0
                     : verdict__rule_charge(&me, s->best.rule); /* a question costs its rule a query */
    if ((s->container || s->by_rule) && !s->flow.over_lo)
        reason =
            limiter__charge(s->container, s->by_rule,
                            s->flow.direction | (opens && !(s->past & PAST_ADMITTED) ? LIMITER_OPENS : 0),
                            s->flow.length, s->flow.packets);
    if (reason) {
        verdict__return_query(s, &me);
        return reason;
    }
    if (opens && s->flow.packets)
        account__add(s->slot, s->best.rule, s->best.name_hash,
                     ACCOUNT_ROW(PS_EGRESS, PS_NONE, PS_R_CONNECTION), 1, 0);
    if (s->flow.protocol == PS_PROTO_UDP && s->flow.direction == PS_EGRESS && s->touches)
        reply__touch(index, 1, s->best.name_hash, s->best.rule);
    return 0;
}

/* The same for a decision. */
static __always_inline void verdict__settle_limits(struct decision *d, __u32 opens) {
    __u32 reason = d->verdict == PS_ALLOW ? verdict__charge(d->scratch, opens) : 0;

    if (reason)
        decision__deny(d, (__u8)reason, d->rule);
}

static __always_inline int verdict__passes(__u32 verdict) {
    return verdict == PS_ALLOW || verdict == PS_WOULD_DENY;
}

/* Of the flow log: what leaves this host, and no questions to resolvers, which have counters and events of their own. */
static __always_inline int verdict__is_logged(const struct flow *f) {
    return f->packets && !f->over_lo && !gate__is_dns(f);
}

/* What stands in the scratch is counted as decided and, unless it was allowed, told. `what`: see event__denied. */
PS_GLOBAL int verdict__record(__u32 index, __u32 what, __u64 rule, __u64 name_hash) {
    const struct scratch *s = scratch__at(index);
    __u32 verdict = (__u8)what;

    if (!s)
        return 0;
    if (s->logs && verdict__passes(verdict) && verdict__is_logged(&s->flow))
        flow_log__packet(index, what, rule, name_hash);
    account__add(s->slot, rule, verdict == PS_ALLOW ? name_hash : 0,
                 ACCOUNT_ROW(s->flow.direction, verdict, what >> 8), s->flow.packets ? s->flow.packets : 1,
                 s->flow.length);
    if (verdict != PS_ALLOW)
        event__denied(index, what, rule);
    return 0;
}

/*
 * The end of every hook: the mode applies, the verdict is counted and told. Gives 1 when the packet or attempt may go on.
 * Gives the scratch back.
 */
static __always_inline int verdict__settle(struct decision *d, const struct flow *f,
                                           const struct identity *me) {
    verdict__apply_mode(d, me);
    if (d->scratch == PS_SCRATCH_NONE) {
        account__add(me->slot, d->rule, 0, ACCOUNT_ROW(f->direction, d->verdict, d->reason),
                     f->packets ? f->packets : 1, f->length);
    } else {
        verdict__record(d->scratch, d->verdict | (__u32)d->reason << 8 | (d->has_name ? EVENT_HAS_NAME : 0),
                        d->rule, d->name_hash);
        scratch__release(d->scratch);
    }
    return verdict__passes(d->verdict);
}

static __always_inline void verdict__open(__u32 index, const struct flow *f, const struct identity *me) {
    struct scratch *s = scratch__at(index);

    if (!s)
        return;
    scratch__open(s, f);
    s->slot = me->slot;
    s->serial = me->serial;
    s->cgroup_id = me->cgroup_id;
    s->binding = me->binding;
    s->mode = me->policy->mode;
    s->logs = me->policy->flows;
}

/* Claims a scratch and puts the flow there. 0 and a denial when there is none. */
static __always_inline int verdict__begin(struct decision *d, const struct flow *f,
                                          const struct identity *me) {
    d->scratch = scratch__claim();
    if (d->scratch == PS_SCRATCH_NONE) {
        verdict__no_scratch(d);
        return 0;
    }
    verdict__open(d->scratch, f, me);
    return 1;
}

/* The same in a hook that the task itself runs: an event then tells who it is. */
static __always_inline int verdict__begin_task(struct decision *d, const struct flow *f,
                                               const struct identity *me) {
    struct scratch *s;

    if (!verdict__begin(d, f, me))
        return 0;
    s = scratch__at(d->scratch);
    if (s) {
        s->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
        bpf_get_current_comm(s->comm, sizeof(s->comm));
    }
    return 1;
}
