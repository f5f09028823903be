/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP over its egress rate is paced by its own socket (SO_MAX_PACING_RATE), so that the bucket hardly ever drops: facts,
 * section 5. The connections that send under one budget share 95 % of its rate. Who sends little leaves a part of its
 * share; so while nothing is dropped each may take more of it, and after a drop no more than its share.
 *
 * Called once a round trip and connection, by sock_ops, under the socket's lock. Never a verdict: what is paced wrong is
 * dropped by the bucket all the same.
 */
#pragma once

#include "lib/limiter.h"

#define PACE_ONE 256
#define PACE_STEP 32 /* more by such a part in each window, */
#define PACE_CALM 15 /* once so many have passed without a drop */
#define PACE_PER_MILLE 950
#define PACE_SOL_SOCKET 1
#define PACE_SO_MAX_PACING_RATE 47
#define PACE_UNLIMITED 0xffffffffULL

/* The first connection that comes in a new window turns it. */
static __always_inline void pace__turn(struct ps_budget *b, __u64 seen, __u64 window) {
    __u32 before = PS_SPENT_WINDOW(seen) == (__u16)(window - 1) ? (__u32)PS_SPENT_OCTETS(seen) : 0,
          gain = b->gain, most = before < 2 ? PACE_ONE + PACE_ONE / 64 : PACE_ONE * before;

    if (__sync_val_compare_and_swap(&b->flows, seen, PS_SPENT(window, 0)) != seen)
        return;
    b->flows_before = before;
    gain += gain / PACE_STEP;
    if (gain > most)
        gain = most;
    if (gain < PACE_ONE || b->dropped_window + PACE_CALM >= window)
        gain = PACE_ONE;
    b->gain = gain;
}

/* Octets a second that one connection may send under this charge now. */
static __always_inline __u64 pace__share(__u64 charge, struct ps_socket *m, __u64 window) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);
    __u64 seen, rate, flows;

    if (!charge || !l || !b || b->slot != m->slot || !l->rates[PS_RATE_EGRESS].cost)
        return PACE_UNLIMITED;
    seen = *(volatile __u64 *)&b->flows;
    if (PS_SPENT_WINDOW(seen) != (__u16)window)
        pace__turn(b, seen, window);
    if (m->paced_window != (__u32)window)
        __sync_fetch_and_add(&b->flows, 1);
    flows = PS_SPENT_OCTETS(*(volatile __u64 *)&b->flows);
    if (flows < b->flows_before)
        flows = b->flows_before;
    rate = (PACE_PER_MILLE * 1000000ULL << (l->rates[PS_RATE_EGRESS].shift & 31)) /
           l->rates[PS_RATE_EGRESS].cost;
    if (flows > 1)
        rate /= flows;
    rate = rate * (b->gain < PACE_ONE ? PACE_ONE : b->gain) / PACE_ONE;
    return rate ? rate : 1;
}

/* What the connection may send a second; PACE_UNLIMITED: as it likes. */
static __always_inline __u64 pace__of(struct ps_socket *m) {
    __u64 window = limiter__pace_window(), whole = pace__share(m->container, m, window),
          by_rule = pace__share(m->by_rule, m, window);

    m->paced_window = (__u32)window;
    return whole < by_rule ? whole : by_rule;
}
