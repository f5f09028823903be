/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP over its egress rate is paced by its own socket (SO_MAX_PACING_RATE), so that the bucket hardly ever drops: facts,
 * section 5. The connections that send under one budget share 95 % of its rate. Who sends little leaves a part of its
 * share; so while the bucket is nearly full each may take more of it, while it is not less of that, and after a drop no more
 * than its share; whoever is open and says a little counts until then as one that sends. What the application itself wants stays the most, and comes back when no limit holds the connection any
 * more.
 *
 * How many send is counted in rounds, each connection once. Over a short path the kernel gives a connection up to 64 KiB at
 * once, whatever its pace, so the smaller its share, the longer it is silent: a round lasts as long as the longest silence
 * in the one before, up to two seconds. Who comes counts at once, who ends no longer.
 *
 * Called once a round trip and connection, by sock_ops, under the socket's lock. Never a verdict: what is paced wrong is
 * dropped by the bucket all the same.
 */
#pragma once

#include "lib/limiter.h"

#define PACE_ONE 256
#define PACE_STEP 32       /* more or less by such a part in each window, */
#define PACE_MOST_STEPS 8  /* more by up to so many when the bucket was full in as many windows, one after another, */
#define PACE_NEARLY_FULL 4 /* by one when it lacks less than such a part of its burst; */
#define PACE_CALM 15       /* after a drop not until so many windows have passed */
#define PACE_PER_MILLE 950
#define PACE_PACKETS_PER_MILLE 633 /* the same, with an acknowledgement for two segments */
#define PACE_LONGEST_GAP 16        /* windows: who was not heard of for longer is new, */
#define PACE_NEW_GAP 8             /* and may send as seldom as that */
#define PACE_SHORT_US 500          /* round trips of a short path */
#define PACE_BUFFER 16384ULL       /* octets */
#define PACE_SOL_SOCKET 1
#define PACE_SO_MAX_PACING_RATE 47
#define PACE_UNLIMITED 0xffffffffULL

/* What a bucket has: enough to take more of it, or not. */
enum pace_stock { PACE_FULL, PACE_MOST, PACE_SPENT };

static __always_inline __u32 pace__stock_of(const struct ps_rate *rate, __u64 full_ns, __u64 now) {
    if (!rate->cost || full_ns <= now)
        return PACE_FULL;
    return full_ns <= now + rate->burst_ns / PACE_NEARLY_FULL ? PACE_MOST : PACE_SPENT;
}

static __always_inline __u32 pace__stock(const struct ps_limits *l, const struct ps_budget *b) {
    __u64 now = bpf_ktime_get_ns();
    __u32 octets = pace__stock_of(&l->rates[PS_RATE_EGRESS], b->full_ns[PS_RATE_EGRESS], now),
          packets = pace__stock_of(&l->rates[PS_RATE_PACKETS], b->full_ns[PS_RATE_PACKETS], now);

    return octets > packets ? octets : packets;
}

/* So many thousandths of the units that the rate brings in a second. */
static __always_inline __u64 pace__per_second(const struct ps_rate *rate, __u64 per_mille) {
    return rate->cost ? (per_mille * 1000000ULL << (rate->shift & 31)) / rate->cost : PACE_UNLIMITED;
}

/*
 * What each may take at least. When the burst has no room for the large buffers of a short path, one of each, the rate can't
 * be met by pace: as they come now together, now none, what the bucket can't hold is lost. Then it is the bucket that
 * decides who waits.
 */
static __always_inline __u32 pace__least(const struct ps_rate *rate, __u32 flows, __u32 srtt_us) {
    if (srtt_us > PACE_SHORT_US || rate->burst_ns / flows >= PACE_BUFFER * rate->cost >> (rate->shift & 31))
        return PACE_ONE;
    return PACE_ONE + PACE_ONE / 8;
}

/* What each may take of its share, in 1/PACE_ONE. */
static __always_inline __u32 pace__gain(const struct bpf_sock_ops *ctx, const struct ps_limits *l,
                                        const struct ps_budget *b, __u32 flows, __u64 window) {
    __u32 gain = b->gain, least = pace__least(&l->rates[PS_RATE_EGRESS], flows, ctx->srtt_us >> 3);

    return gain < least || b->dropped_window + PACE_CALM >= window ? least : gain;
}

/*
 * Once a window: more while what they send does not use the rate up, less else. The more the longer the bucket is full
 * whenever it is looked at: much is left then. Two CPUs that both do it take a step too many, which the next ones mend.
 */
static __always_inline void pace__adjust(const struct ps_limits *l, struct ps_budget *b, __u64 window) {
    __u32 gain = b->gain, stock, most = PACE_ONE * b->flows_before;

    if (b->adjusted == (__u8)window)
        return;
    b->adjusted = (__u8)window;
    stock = pace__stock(l, b);
    b->full_windows = stock != PACE_FULL ? 0 : b->full_windows < PACE_MOST_STEPS ? b->full_windows + 1 : PACE_MOST_STEPS;
    if (stock == PACE_SPENT)
        gain -= gain / PACE_STEP;
    else
        gain += gain * (b->full_windows ? b->full_windows : 1) / PACE_STEP;
    if (b->flows_before < 2)
        most = PACE_ONE + PACE_ONE / 64;
    if (gain > most)
        gain = most;
    if (gain < PACE_ONE || b->dropped_window + PACE_CALM >= window)
        gain = PACE_ONE;
    b->gain = gain;
}

/* A new round begins, as long as the longest silence in the one before; not much shorter at once. */
static __always_inline void pace__turn(struct ps_budget *b, __u64 seen, __u32 lasted, __u64 window) {
    __u32 half = b->round_windows / 2, longest = b->longest_gap + 1;

    if (__sync_val_compare_and_swap(&b->flows, seen, PS_SPENT(window, 0)) != seen)
        return;
    b->flows_before = lasted < b->round_windows + PACE_LONGEST_GAP ? (__u32)PS_SPENT_OCTETS(seen) : 0;
    b->round_windows = (__u8)(longest > half ? longest : half);
    b->longest_gap = 0;
}

/* The connections that send, this one among them: those heard of in the round before or, if they are more, in this one. */
static __always_inline __u32 pace__flows(struct ps_budget *b, struct ps_socket *m, __u64 window) {
    __u64 seen = *(volatile __u64 *)&b->flows;
    __u32 lasted = (__u16)(window - PS_SPENT_WINDOW(seen)), gap = (__u32)window - m->paced_window, flows;

    if (lasted >= b->round_windows) {
        pace__turn(b, seen, lasted, window);
        lasted = 0;
    }
    if (gap > lasted) { /* not heard of in this round */
        __sync_fetch_and_add(&b->flows, 1);
        m->heard_before = gap <= PACE_LONGEST_GAP;
    }
    if (gap > PACE_LONGEST_GAP)
        gap = PACE_NEW_GAP;
    if (gap > b->longest_gap)
        b->longest_gap = (__u8)gap;
    flows = (__u32)PS_SPENT_OCTETS(*(volatile __u64 *)&b->flows);
    flows = flows > b->flows_before ? flows : b->flows_before;
    return flows ? flows : 1;
}

/* The connection has ended: its share is the others' at once. Whom two CPUs miscount here, the next round counts right. */
static __always_inline void pace__forget(__u64 charge, __u64 rule, const struct ps_socket *m, __u64 window) {
    struct ps_budget *b = limiter__budget_of(charge);
    __u32 gap = (__u32)window - m->paced_window, lasted, before;
    __u64 seen;

    if (!b || !limiter__is_of(charge, m->slot, rule))
        return;
    seen = *(volatile __u64 *)&b->flows;
    lasted = (__u16)(window - PS_SPENT_WINDOW(seen));
    if (gap <= lasted && PS_SPENT_OCTETS(seen))
        __sync_val_compare_and_swap(&b->flows, seen, seen - 1);
    before = *(volatile __u32 *)&b->flows_before;
    if (before && (gap <= lasted ? m->heard_before : gap - lasted <= b->round_windows))
        __sync_val_compare_and_swap(&b->flows_before, before, before - 1);
}

/* Octets a second that all connections may send under the limits: under a rate of packets in segments of `mss`. */
static __always_inline __u64 pace__of_limits(const struct ps_limits *l, __u32 mss) {
    __u64 octets = pace__per_second(&l->rates[PS_RATE_EGRESS], PACE_PER_MILLE),
          packets = pace__per_second(&l->rates[PS_RATE_PACKETS], PACE_PACKETS_PER_MILLE);

    if (packets >= PACE_UNLIMITED)
        return octets;
    packets *= mss;
    return octets < packets ? octets : packets;
}

/* Octets a second that one connection may send under this charge now. */
static __always_inline __u64 pace__share(const struct bpf_sock_ops *ctx, __u64 charge, __u64 rule,
                                         struct ps_socket *m, __u64 window) {
    const struct ps_limits *l = limiter__limits_of(charge);
    struct ps_budget *b = limiter__budget_of(charge);
    __u64 rate;
    __u32 flows;

    if (!l || !b || !limiter__is_of(charge, m->slot, rule))
        return PACE_UNLIMITED;
    rate = pace__of_limits(l, ctx->mss_cache);
    if (rate >= PACE_UNLIMITED)
        return PACE_UNLIMITED;
    flows = pace__flows(b, m, window);
    pace__adjust(l, b, window);
    rate = rate * pace__gain(ctx, l, b, flows, window) / PACE_ONE / flows;
    return rate ? rate : 1;
}

/* Is its container held to limits now? Audit counts what they would deny, and does not slow it down. */
static __always_inline int pace__is_held(const struct ps_socket *m) {
    struct identity me = {};

    return identity__remembered(&me, m->slot, m->serial) && me.policy->mode == PS_MODE_ENFORCE;
}

/* What the connection may send a second; PACE_UNLIMITED: as it likes. */
static __always_inline __u64 pace__of(const struct bpf_sock_ops *ctx, struct ps_socket *m) {
    __u64 window = limiter__pace_window(), whole, by_rule;

    if (!(m->container || m->by_rule) || !pace__is_held(m))
        return PACE_UNLIMITED;
    whole = pace__share(ctx, m->container, 0, m, window);
    by_rule = pace__share(ctx, m->by_rule, m->rule, m, window);
    m->paced_window = (__u32)window;
    return whole < by_rule ? whole : by_rule;
}

static __always_inline void pace__leave(struct ps_socket *m) {
    __u64 window = limiter__pace_window();

    if (!m->paced_window)
        return;
    pace__forget(m->container, 0, m, window);
    pace__forget(m->by_rule, m->rule, m, window);
    m->paced_window = 0;
}

/* The socket sends no faster than `pace`, nor than its application wants: what stands there and was not set here. */
static __always_inline void pace__set(struct bpf_sock_ops *ctx, struct ps_socket *m, __u64 pace) {
    __u32 now = 0, wanted;

    if (bpf_getsockopt(ctx, PACE_SOL_SOCKET, PACE_SO_MAX_PACING_RATE, &now, sizeof(now)))
        return;
    if (!m->pace || now != m->pace)
        m->own_pace = now;
    wanted = pace < m->own_pace ? (__u32)pace : m->own_pace;
    if (wanted != now &&
        bpf_setsockopt(ctx, PACE_SOL_SOCKET, PACE_SO_MAX_PACING_RATE, &wanted, sizeof(wanted)))
        return;
    m->pace = pace < PACE_UNLIMITED ? wanted : 0;
}
