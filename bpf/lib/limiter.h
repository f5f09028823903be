/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a container may spend: token buckets as GCRA in one word each (ITU-T I.371), and quotas (quota.h), both lock free. A
 * budget belongs to {container, rule}, so no container spends another's and a change of policy keeps what was spent. Never
 * above: what could not be counted for contention is denied.
 */
#pragma once

#include "lib/clock.h"
#include "lib/event.h"
#include "lib/quota.h"

#define LIMITER_TRIES 8
#define LIMITER_PACE_SHIFT 27 /* of nanoseconds: windows of 134 ms */

/* ---- which limits, which budget ---- */

/* Index plus 1 of what the container has spent for the rule; made when it is not there. 0: there is no room. */
PS_GLOBAL __u32 limiter__budget(__u32 slot, __u64 rule) {
    struct ps_budget_key key = {.rule = rule, .slot = slot};
    const __u32 *found = bpf_map_lookup_elem(&budget_ids, &key);
    struct ps_gate *g = identity__gate();
    struct ps_budget *b;
    __u32 index;

    if (found)
        return *found + 1;
    index = g ? bucket__take_number(&free_budgets, &g->next_budget, PS_BUDGETS) : PS_BUDGETS;
    b = bpf_map_lookup_elem(&budgets, &index);
    if (!b)
        return 0;
    b->rule = rule;
    b->slot = slot;
    if (!bpf_map_update_elem(&budget_ids, &key, &index, BPF_NOEXIST))
        return index + 1;
    b->slot = 0;
    bpf_map_push_elem(&free_budgets, &index, 0); /* lost to another CPU, or no memory */
    found = bpf_map_lookup_elem(&budget_ids, &key);
    return found ? *found + 1 : 0;
}

/*
 * A charge: what is limited, and what was spent of it. Index plus 1 of the limits; what they are for packets of
 * ps_direction n, shifted by n; index plus 1 of the budget from bit 32, 0 if there was no room for one.
 */
#define LIMITER_LIMITS 0xfffff
#define LIMITER_UNTIMED (1U << 28) /* no rate */
#define LIMITER_FREE (1U << 30)    /* no rate and no quota */
_Static_assert(PS_LIMITS < LIMITER_LIMITS, "a charge has room for the number of every limit");

static __always_inline int limiter__counts(const struct ps_limits *l, __u32 direction) {
    return l->quota_bytes && l->quota_directions >> (direction & 1) & 1;
}

static __always_inline __u32 limiter__marks(const struct ps_limits *l, const struct ps_rate *rate,
                                            __u32 direction) {
    if (rate->cost || l->rates[PS_RATE_PACKETS].cost)
        return 0;
    return (limiter__counts(l, direction) ? LIMITER_UNTIMED : LIMITER_UNTIMED | LIMITER_FREE) << direction;
}

static __always_inline int limiter__is(__u64 charge, __u32 mark, __u32 direction) {
    return !charge || charge & (__u64)mark << direction;
}

/* What the policy limits for the container (rule 0) or its rule, as a charge; 0: nothing. */
PS_GLOBAL __u64 limiter__find(__u32 slot, __u32 policy, __u64 rule) {
    struct ps_limits_key key = {.rule = rule, .policy = (__u16)policy};
    const __u32 *found = bpf_map_lookup_elem(&limit_ids, &key);
    const struct ps_limits *l;
    __u32 index;

    if (!found)
        return 0;
    index = *found;
    l = bpf_map_lookup_elem(&limits, &index);
    if (!l)
        return LIMITER_LIMITS; /* of which there are none: denied */
    return (__u64)limiter__budget(slot, rule) << 32 |
           limiter__marks(l, &l->rates[PS_RATE_EGRESS], PS_EGRESS) |
           limiter__marks(l, &l->rates[PS_RATE_INGRESS], PS_INGRESS) | (index + 1);
}

/* ---- rates ---- */

/* ns that the units take to come back, rounded up: never above the rate. */
static __always_inline __u64 limiter__cost(const struct ps_rate *rate, __u64 units) {
    __u32 shift = rate->shift & 63;

    return (rate->cost * units + (1ULL << shift) - 1) >> shift;
}

/* Takes `units` from the bucket: 1, or 0 when they are not there. */
static __always_inline int limiter__take(__u64 *full, const struct ps_rate *rate, __u64 units, __u64 now) {
    return bucket__take(full, limiter__cost(rate, units), rate->burst_ns, now, LIMITER_TRIES);
}

static __always_inline void limiter__give_back(__u64 *full, const struct ps_rate *rate, __u64 units) {
    if (rate->cost)
        __sync_fetch_and_add(full, -limiter__cost(rate, units));
}

/* ---- what the hooks charge ---- */

static __always_inline __u32 limiter__pace_window(void) {
    return (__u32)(bpf_ktime_get_coarse_ns() >> LIMITER_PACE_SHIFT);
}

static __always_inline struct ps_budget *limiter__budget_of(__u64 charge) {
    __u32 index = (__u32)(charge >> 32) - 1;

    return bpf_map_lookup_elem(&budgets, &index);
}

static __always_inline const struct ps_limits *limiter__limits_of(__u64 charge) {
    __u32 index = (__u32)(charge & LIMITER_LIMITS) - 1;

    return bpf_map_lookup_elem(&limits, &index);
}

/* Is the charge's budget still the one of the slot's rule? The daemon takes those back that no policy has a use for. */
static __always_inline int limiter__is_of(__u64 charge, __u32 slot, __u64 rule) {
    const struct ps_budget *b = limiter__budget_of(charge);

    return !(charge >> 32) || (b && b->slot == slot && b->rule == rule);
}

/* What was taken from the rates comes back. Global, so that limiter__packet needs no stack for it: see known__egress. */
PS_GLOBAL int limiter__return_rates(__u64 charge, __u32 direction, __u32 octets, __u32 packets) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);

    if (!l || !b)
        return 0;
    limiter__give_back(&b->full_ns[PS_RATE_PACKETS], &l->rates[PS_RATE_PACKETS], packets);
    if (direction == PS_EGRESS)
        limiter__give_back(&b->full_ns[PS_RATE_EGRESS], &l->rates[PS_RATE_EGRESS], octets);
    else
        limiter__give_back(&b->full_ns[PS_RATE_INGRESS], &l->rates[PS_RATE_INGRESS], octets);
    return 0;
}

/* Takes the packet from the rates: 0, or the reason of the one that does not hold it. */
static __always_inline __u32 limiter__take_rates(const struct ps_limits *l, struct ps_budget *b,
                                                 __u32 direction, __u32 octets, __u32 packets, __u64 now) {
    const struct ps_rate *rate, *per_packet = &l->rates[PS_RATE_PACKETS];
    __u32 reason = PS_R_PACKET_RATE;
    __u64 *full;
    __u32 window;

    rate = direction == PS_EGRESS ? &l->rates[PS_RATE_EGRESS] : &l->rates[PS_RATE_INGRESS];
    full = direction == PS_EGRESS ? &b->full_ns[PS_RATE_EGRESS] : &b->full_ns[PS_RATE_INGRESS];
    if (!per_packet->cost || limiter__take(&b->full_ns[PS_RATE_PACKETS], per_packet, packets, now)) {
        if (!rate->cost || limiter__take(full, rate, octets, now))
            return 0;
        limiter__give_back(&b->full_ns[PS_RATE_PACKETS], per_packet, packets);
        reason = direction == PS_EGRESS ? PS_R_EGRESS_RATE : PS_R_INGRESS_RATE;
    }
    window = (__u32)(now >> LIMITER_PACE_SHIFT);
    if (direction == PS_EGRESS && *(volatile __u32 *)&b->dropped_window != window)
        *(volatile __u32 *)&b->dropped_window = window; /* the connections take less: pace.h */
    return reason;
}

/*
 * Charges a packet, or a GSO buffer that becomes `packets` of them with `octets` altogether; `now` of CLOCK_MONOTONIC, if
 * there is a rate. The reason of the limit that does not hold it, then nothing is charged; or 0, and above LIMITER_REASON
 * the tag of the quota's window.
 */
#define LIMITER_REASON 0xff
PS_GLOBAL __u32 limiter__packet(__u64 charge, __u32 direction, __u32 octets, __u32 packets, __u64 now) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);
    __u64 spent;
    __u32 reason;

    if (!l || !b)
        return PS_R_BUDGET_STORE;
    reason = limiter__take_rates(l, b, direction, octets, packets, now);
    if (reason || !limiter__counts(l, direction))
        return reason;
    spent = quota__spend(b, l, octets, clock__late_boot_ns());
    if (spent & QUOTA_MARK)
        event__quota(b->slot, b->rule, spent & QUOTA_MARK, direction);
    if (!(spent & QUOTA_SPENT))
        return (__u32)(spent >> QUOTA_TAG_SHIFT) << 8;
    limiter__return_rates(charge, direction, octets, packets);
    return PS_R_QUOTA;
}

/* Takes a packet's charge back: another limit did not hold it. The mark it passed, if any, stays told. */
PS_GLOBAL int limiter__refund(__u64 charge, __u32 direction, __u32 octets, __u32 packets, __u32 tag) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);

    limiter__return_rates(charge, direction, octets, packets);
    if (l && b && limiter__counts(l, direction))
        quota__unspend(b, octets, (__u16)tag);
    return 0;
}

/* Needs no packet of this direction be charged? */
static __always_inline int limiter__are_free(__u64 container, __u64 by_rule, __u32 direction) {
    return limiter__is(container, LIMITER_FREE, direction) && limiter__is(by_rule, LIMITER_FREE, direction);
}

/* Charges the container and the rule, or neither. */
static __always_inline __u32 limiter__both(__u64 container, __u64 by_rule, __u32 direction, __u32 octets,
                                           __u32 packets) {
    __u32 charged = 0, reason;
    __u64 now = 0;

    direction &= 1;
    if (!limiter__is(container, LIMITER_UNTIMED, direction) ||
        !limiter__is(by_rule, LIMITER_UNTIMED, direction))
        now = bpf_ktime_get_ns();
    if (!limiter__is(by_rule, LIMITER_FREE, direction))
        charged = limiter__packet(by_rule, direction, octets, packets, now);
    if (charged & LIMITER_REASON || limiter__is(container, LIMITER_FREE, direction))
        return charged & LIMITER_REASON;
    reason = limiter__packet(container, direction, octets, packets, now) & LIMITER_REASON;
    if (reason && !limiter__is(by_rule, LIMITER_FREE, direction))
        limiter__refund(by_rule, direction, octets, packets, charged >> 8);
    return reason;
}

/* The rate and the bucket of connections or of queries: the only kinds that are counted one by one. */
static __always_inline const struct ps_rate *limiter__rate_of(const struct ps_limits *l, __u32 kind) {
    return kind == PS_RATE_QUERIES ? &l->rates[PS_RATE_QUERIES] : &l->rates[PS_RATE_CONNECTIONS];
}
static __always_inline __u64 *limiter__bucket_of(struct ps_budget *b, __u32 kind) {
    return kind == PS_RATE_QUERIES ? &b->full_ns[PS_RATE_QUERIES] : &b->full_ns[PS_RATE_CONNECTIONS];
}

/* Charges one connection or query: 0, or the reason. */
PS_GLOBAL __u32 limiter__one(__u64 charge, __u32 kind) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);
    const struct ps_rate *rate;

    if (!charge)
        return 0;
    if (!l || !b)
        return PS_R_BUDGET_STORE;
    rate = limiter__rate_of(l, kind);
    if (!rate->cost || limiter__take(limiter__bucket_of(b, kind), rate, 1, bpf_ktime_get_ns()))
        return 0;
    return kind == PS_RATE_QUERIES ? PS_R_QUERY_RATE : PS_R_CONNECTION_RATE;
}

PS_GLOBAL int limiter__return_one(__u64 charge, __u32 kind) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);

    if (l && b)
        limiter__give_back(limiter__bucket_of(b, kind), limiter__rate_of(l, kind), 1);
    return 0;
}

/* Charges the container and the rule a connection or query, or neither. */
PS_GLOBAL __u32 limiter__one_of_both(__u64 container, __u64 by_rule, __u32 kind) {
    __u32 reason = limiter__one(by_rule, kind);

    if (reason)
        return reason;
    reason = limiter__one(container, kind);
    if (reason)
        limiter__return_one(by_rule, kind);
    return reason;
}

#define LIMITER_OPENS 2 /* beside the direction: it begins a connection */

/* Charges container and rule a packet and the connection that it begins: all or nothing. No packets: an attempt. */
PS_GLOBAL __u32 limiter__charge(__u64 container, __u64 by_rule, __u32 how, __u32 octets, __u32 packets) {
    __u32 reason = how & LIMITER_OPENS ? limiter__one_of_both(container, by_rule, PS_RATE_CONNECTIONS) : 0;

    if (reason || !packets)
        return reason;
    reason = limiter__both(container, by_rule, how & 1, octets, packets);
    if (reason && how & LIMITER_OPENS) {
        limiter__return_one(container, PS_RATE_CONNECTIONS);
        limiter__return_one(by_rule, PS_RATE_CONNECTIONS);
    }
    return reason;
}

/* Is nothing left of the quota for what leaves? For an early error: it charges nothing. */
PS_GLOBAL int limiter__is_spent(__u64 charge) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);

    return l && b && l->quota_bytes && l->quota_directions & 1 && quota__holds_none(b, l);
}
