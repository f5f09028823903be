/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a container may spend: token buckets as GCRA in one word each (ITU-T I.371), and a quota of octets per window, also
 * one word, both lock free. A budget belongs to {container, rule}, so no container spends another's and a change of policy
 * keeps what was spent. Never above: what could not be counted for contention is denied.
 */
#pragma once

#include "lib/event.h"

#define LIMITER_TRIES 8
#define LIMITER_PACE_SHIFT 27   /* of nanoseconds: windows of 134 ms */
#define LIMITER_LEAST_PACKET 40 /* a SYN over IPv4 without options */

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
    bpf_map_push_elem(&free_budgets, &index, 0); /* lost to another CPU, or no memory */
    found = bpf_map_lookup_elem(&budget_ids, &key);
    return found ? *found + 1 : 0;
}

/*
 * What the policy limits for the container (rule 0) or its rule, as a charge: index plus 1 of the limits, in the upper half
 * of the budget, 0 there if there was no room for one. 0: no limit.
 */
PS_GLOBAL __u64 limiter__find(__u32 slot, __u32 policy, __u64 rule) {
    struct ps_limits_key key = {.rule = rule, .policy = (__u16)policy};
    const __u32 *found = bpf_map_lookup_elem(&limit_ids, &key);

    return found ? (__u64)limiter__budget(slot, rule) << 32 | (*found + 1) : 0;
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

/* ---- quota ---- */

/* The number of the quota's window now. The first octet starts window 0; another length starts anew with what was spent. */
static __always_inline __u64 limiter__window(struct ps_budget *b, const struct ps_limits *l) {
    __u64 now = bpf_ktime_get_boot_ns(), length = l->window_ns, seen = b->window_ns;

    if (seen != length && __sync_val_compare_and_swap(&b->window_ns, seen, length) == seen) {
        __sync_lock_test_and_set(&b->spent, PS_SPENT(0, PS_SPENT_OCTETS(b->spent)));
        __sync_lock_test_and_set(&b->granted, 0);
        __sync_lock_test_and_set(&b->told, 0);
        __sync_lock_test_and_set(&b->window_start_ns, now);
    }
    seen = *(volatile __u64 *)&b->window_start_ns;
    /* A window that is resumed after a reboot began before the clock did. */
    return seen && length && (__s64)(now - seen) > 0 ? (now - seen) / length : 0;
}

/* Octets that may be spent in a window: the quota, and what was granted for this one alone. */
static __always_inline __u64 limiter__allowance(const struct ps_budget *b, const struct ps_limits *l,
                                                __u64 window) {
    __u64 granted = *(volatile const __u64 *)&b->granted, most = PS_SPENT_OCTETS(~0ULL);
    __u64 allowance =
        l->quota_bytes + (PS_SPENT_WINDOW(granted) == (__u16)window ? PS_SPENT_OCTETS(granted) : 0);

    return allowance < most ? allowance : most; /* what `spent` can count to */
}

/* Per cent of which the container's user has not been told in this window, 0 if none: 80 or 100. */
static __always_inline __u32 limiter__mark(struct ps_budget *b, __u64 window, __u32 per_cent) {
    __u64 seen = *(volatile __u64 *)&b->told, mark = PS_SPENT(window, per_cent);

    if (PS_SPENT_WINDOW(seen) == (__u16)window && PS_SPENT_OCTETS(seen) >= per_cent)
        return 0;
    return __sync_val_compare_and_swap(&b->told, seen, mark) == seen ? per_cent : 0;
}

#define LIMITER_SPENT 0x80000000U /* the quota does not hold the octets */

/* Counts the octets as spent. LIMITER_SPENT when they are more than is left; and a mark that was passed, or 0. */
static __always_inline __u32 limiter__spend(struct ps_budget *b, const struct ps_limits *l, __u64 octets) {
    __u64 window = limiter__window(b, l), allowance = limiter__allowance(b, l, window), seen, used;

    for (int i = 0; i < LIMITER_TRIES; i++) {
        seen = *(volatile __u64 *)&b->spent;
        used = PS_SPENT_WINDOW(seen) == (__u16)window ? PS_SPENT_OCTETS(seen) : 0;
        if (used + octets > allowance)
            return LIMITER_SPENT | limiter__mark(b, window, 100);
        used += octets;
        if (__sync_val_compare_and_swap(&b->spent, seen, PS_SPENT(window, used)) == seen)
            return used >= allowance - allowance / 5 ? limiter__mark(b, window, 80) : 0;
    }
    return LIMITER_SPENT;
}

/* Gives octets of the present window back. */
static __always_inline void limiter__unspend(struct ps_budget *b, __u64 octets) {
    __u64 seen = *(volatile __u64 *)&b->spent;

    /* Once: under contention, or when the window has turned, a refused packet stays spent, which is not above. */
    if (PS_SPENT_OCTETS(seen) >= octets)
        __sync_val_compare_and_swap(&b->spent, seen, seen - octets);
}

/* ---- what the hooks charge ---- */

static __always_inline __u64 limiter__pace_window(void) {
    return bpf_ktime_get_coarse_ns() >> LIMITER_PACE_SHIFT;
}

static __always_inline struct ps_budget *limiter__budget_of(__u64 charge) {
    __u32 index = (__u32)(charge >> 32) - 1;

    return bpf_map_lookup_elem(&budgets, &index);
}

static __always_inline const struct ps_limits *limiter__limits_of(__u64 charge) {
    __u32 index = (__u32)charge - 1;

    return bpf_map_lookup_elem(&limits, &index);
}

/*
 * Charges a packet, or a GSO buffer that becomes `packets` of them with `octets` altogether. 0, or the reason of the
 * limit that does not hold it: then nothing is charged.
 */
PS_GLOBAL __u32 limiter__packet(__u64 charge, __u32 direction, __u32 octets, __u32 packets) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);
    const struct ps_rate *rate, *per_packet;
    __u64 *full, now;
    __u32 spent = 0;

    if (!charge)
        return 0;
    if (!l || !b)
        return PS_R_BUDGET_STORE;
    rate = direction == PS_EGRESS ? &l->rates[PS_RATE_EGRESS] : &l->rates[PS_RATE_INGRESS];
    full = direction == PS_EGRESS ? &b->full_ns[PS_RATE_EGRESS] : &b->full_ns[PS_RATE_INGRESS];
    per_packet = &l->rates[PS_RATE_PACKETS];
    now = rate->cost || per_packet->cost ? bpf_ktime_get_ns() : 0;
    if (per_packet->cost && !limiter__take(&b->full_ns[PS_RATE_PACKETS], per_packet, packets, now))
        return PS_R_PACKET_RATE;
    if (rate->cost && !limiter__take(full, rate, octets, now)) {
        limiter__give_back(&b->full_ns[PS_RATE_PACKETS], per_packet, packets);
        if (direction != PS_EGRESS)
            return PS_R_INGRESS_RATE;
        *(volatile __u64 *)&b->dropped_window =
            limiter__pace_window(); /* the connections take less: pace.h */
        return PS_R_EGRESS_RATE;
    }
    if (l->quota_bytes && l->quota_directions >> (direction & 1) & 1)
        spent = limiter__spend(b, l, octets);
    if (spent & 0xff)
        event__quota(b->slot, b->rule, spent & 0xff);
    if (!(spent & LIMITER_SPENT))
        return 0;
    limiter__give_back(full, rate, octets);
    limiter__give_back(&b->full_ns[PS_RATE_PACKETS], per_packet, packets);
    return PS_R_QUOTA;
}

/* Takes a packet's charge back: another limit did not hold it. The mark it passed, if any, stays told. */
PS_GLOBAL int limiter__refund(__u64 charge, __u32 direction, __u32 octets, __u32 packets) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);

    if (!l || !b)
        return 0;
    limiter__give_back(&b->full_ns[PS_RATE_PACKETS], &l->rates[PS_RATE_PACKETS], packets);
    if (direction == PS_EGRESS)
        limiter__give_back(&b->full_ns[PS_RATE_EGRESS], &l->rates[PS_RATE_EGRESS], octets);
    else
        limiter__give_back(&b->full_ns[PS_RATE_INGRESS], &l->rates[PS_RATE_INGRESS], octets);
    if (l->quota_bytes && l->quota_directions >> (direction & 1) & 1)
        limiter__unspend(b, octets);
    return 0;
}

/* Charges the container and the rule, or neither. */
PS_GLOBAL __u32 limiter__both(__u64 container, __u64 by_rule, __u32 direction, __u32 octets, __u32 packets) {
    __u32 reason = limiter__packet(by_rule, direction, octets, packets);

    if (reason || !container)
        return reason;
    reason = limiter__packet(container, direction, octets, packets);
    if (reason && by_rule)
        limiter__refund(by_rule, direction, octets, packets);
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

/* Charges a packet to the container and the rule, and the connection that it begins: all or nothing. No packets: an attempt. */
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
    __u64 window, spent;

    if (!l || !b || !l->quota_bytes || !(l->quota_directions & 1))
        return 0;
    window = limiter__window(b, l);
    spent = *(volatile __u64 *)&b->spent;
    return PS_SPENT_WINDOW(spent) == (__u16)window &&
           PS_SPENT_OCTETS(spent) + LIMITER_LEAST_PACKET > limiter__allowance(b, l, window);
}
