/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP over its egress rate is paced by its own socket (SO_MAX_PACING_RATE), so that the bucket hardly ever drops: facts,
 * section 5. The connections that send under one budget share 95 % of its rate. Who sends little leaves a part of its
 * share: while the bucket is nearly full each may take more, up to a quarter in 134 ms; while it is not less, and after a
 * drop no more than its share. What the application itself wants stays the most, and comes back when no limit holds the
 * connection any more.
 *
 * How many send is counted in rounds, each connection once: a round lasts as long as the longest silence of a connection in
 * the one before, up to two seconds. Who comes counts at once, who ends no longer.
 *
 * Called once a round trip and connection, by sock_ops, under the socket's lock. Never a verdict: what is paced wrong is
 * dropped by the bucket all the same.
 */
#pragma once

#include "lib/limiter.h"

#define PACE_ONE 256
#define PACE_STEP 32 /* more or less by such a part for each window, */
#define PACE_MOST_STEPS                                                                                      \
    8 /* but not by more of them; more by half of what is left of the rate, where that can be told; */
#define PACE_NEARLY_FULL 4 /* as the bucket lacks less than such a part of its burst, or more; */
#define PACE_CALM 15       /* after a drop not until so many windows have passed */
#define PACE_PER_MILLE 950
#define PACE_PACKETS_PER_MILLE 633 /* the same, with an acknowledgement for two segments */
#define PACE_LONGEST_GAP 16        /* windows: who was not heard of for longer is new, */
#define PACE_NEW_GAP 8             /* and may send as seldom as that */
#define PACE_WINDOWS_PER_S 7       /* 7.45 */
#define PACE_TELLING                                                                                         \
    (16 << 16)             /* octets, 16 of TCP's largest buffers: of fewer it is chance how many were sent */
#define PACE_SHORT_US 4096 /* below this smallest round trip TCP sends large buffers at any pace */
#define PACE_AMPLE 2097152 /* octets a second that fill such a buffer soon enough */
#define PACE_FEWEST 3      /* segments, and what the pace brings until an acknowledgement comes: */
#define PACE_ACK_US 62500  /* Linux waits with one for 40 ms */
#define PACE_UNLIMITED 0xffffffffULL
#define PACE_UNBOUND 0x7fffffff
/* Of setsockopt. */
#define PACE_SOL_SOCKET 1
#define PACE_SO_MAX_PACING_RATE 47
#define PACE_IPPROTO_TCP 6
#define PACE_INITIAL_CWND 1001 /* TCP_BPF_IW */
#define PACE_CWND_CLAMP 1002   /* TCP_BPF_SNDCWND_CLAMP */

/* Has the bucket most of its burst? Then what the connections send does not use the rate up. */
static __always_inline int pace__is_full(const struct ps_rate *rate, __u64 full_ns, __u64 now) {
    return !rate->cost || full_ns <= now + rate->burst_ns / PACE_NEARLY_FULL;
}

static __always_inline int pace__has_slack(const struct ps_limits *l, const struct ps_budget *b) {
    __u64 now = bpf_ktime_get_ns();

    return pace__is_full(&l->rates[PS_RATE_EGRESS], b->full_ns[PS_RATE_EGRESS], now) &&
           pace__is_full(&l->rates[PS_RATE_PACKETS], b->full_ns[PS_RATE_PACKETS], now);
}

/* So many thousandths of the units that the rate brings in a second. */
static __always_inline __u64 pace__per_second(const struct ps_rate *rate, __u64 per_mille) {
    return rate->cost ? (per_mille * 1000000ULL << (rate->shift & 31)) / rate->cost : PACE_UNLIMITED;
}

/* Was a packet refused lately? */
static __always_inline int pace__dropped(const struct ps_budget *b, __u32 window) {
    return (__s32)(window - b->dropped_window) <= PACE_CALM;
}

/* What each may take of its share, in 1/PACE_ONE. */
static __always_inline __u32 pace__gain(const struct ps_budget *b, __u32 window) {
    __u32 gain = b->gain;

    return gain < PACE_ONE || pace__dropped(b, window) ? PACE_ONE : gain;
}

static __always_inline __u32 pace__at_most(__u32 steps) {
    return steps < PACE_MOST_STEPS ? steps : PACE_MOST_STEPS;
}

/* Steps that are half of what was left, when so many octets were sent of those that could be; one a window at least. */
static __always_inline __u32 pace__steps(__u64 octets, __u64 could, __u32 windows) {
    __u32 steps = 0;

    if (octets < could && could >= PACE_TELLING)
        steps = (__u32)((could - octets) * PACE_STEP / 2 / could);
    return pace__at_most(steps > windows ? steps : windows);
}

/*
 * More while what they send does not use the rate up, less else. Once a round, or once a window where that tells what is
 * left. What is no TCP shows in the bucket alone.
 */
static __always_inline void pace__adjust(const struct ps_limits *l, struct ps_budget *b, __u64 rate,
                                         __u32 window) {
    __u32 gain = b->gain, windows = window - b->gain_window, octets,
          most = b->flows_before < 2 ? PACE_ONE + PACE_ONE / 64 : PACE_ONE * b->flows_before;
    __u64 could;

    if ((__s32)windows <= 0)
        return; /* this one's, or another CPU was here in the next */
    if (windows > PACE_LONGEST_GAP)
        windows = PACE_LONGEST_GAP;
    could = rate * windows / PACE_WINDOWS_PER_S;
    if ((windows < b->round_windows && could < PACE_TELLING) ||
        __sync_lock_test_and_set(&b->gain_window, window) == window)
        return;
    octets = __sync_lock_test_and_set(&b->acked, 0);
    if (pace__has_slack(l, b))
        gain += gain * pace__steps(octets, could, windows) / PACE_STEP;
    else
        gain -= gain * pace__at_most(windows) / PACE_STEP;
    if (gain > most)
        gain = most;
    if (gain < PACE_ONE || pace__dropped(b, window))
        gain = PACE_ONE;
    b->gain = gain;
}

/* A new round begins, as long as the longest silence in the one before; not much shorter at once. */
static __always_inline void pace__turn(struct ps_budget *b, __u64 seen, __u32 lasted, __u32 window) {
    __u32 half = b->round_windows / 2, longest = b->longest_gap + 1;

    if (__sync_val_compare_and_swap(&b->flows, seen, PS_SPENT(window, 0)) != seen)
        return;
    b->flows_before = lasted < b->round_windows + PACE_LONGEST_GAP ? (__u32)PS_SPENT_OCTETS(seen) : 0;
    b->round_windows = (__u8)(longest > half ? longest : half);
    b->longest_gap = 0;
}

/* The connections that send, this one among them: those heard of in the round before or, if they are more, in this one. */
static __always_inline __u32 pace__flows(struct ps_budget *b, struct ps_socket *m, __u32 window) {
    __u64 seen = *(volatile __u64 *)&b->flows;
    __u32 lasted = (__u16)(window - PS_SPENT_WINDOW(seen)), gap = window - m->paced_window, flows;

    if (lasted > 0xffff - PACE_LONGEST_GAP)
        lasted = 0; /* another CPU has begun the next window's; windows have 16 bits here, 2.4 h */
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

/*
 * The connection has ended: its share is the others' at once. Whom two CPUs, or rounds of two budgets, miscount here, the
 * next round counts right.
 */
static __always_inline void pace__forget(__u64 charge, __u64 rule, const struct ps_socket *m, __u32 window) {
    struct ps_budget *b = limiter__budget_of(charge);
    __u32 gap = window - m->paced_window, lasted, before;
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

/* Octets a second that one connection may send under this charge now, after so many more of its were acknowledged. */
static __always_inline __u64 pace__share(const struct bpf_sock_ops *ctx, __u64 charge, __u64 rule,
                                         struct ps_socket *m, __u32 window, __u32 acked) {
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
    __sync_fetch_and_add(&b->acked, acked);
    pace__adjust(l, b, rate, window);
    rate = rate * pace__gain(b, window) / PACE_ONE / flows;
    return rate ? rate : 1;
}

/* Is its container held to limits now? Audit counts what they would deny, and does not slow it down. */
static __always_inline int pace__is_held(const struct ps_socket *m) {
    struct identity me = {};

    return identity__remembered(&me, m->slot, m->serial) && me.policy->mode == PS_MODE_ENFORCE;
}

static __always_inline void pace__leave(struct ps_socket *m) {
    __u32 window = limiter__pace_window();

    if (!m->paced_window)
        return;
    pace__forget(m->container, 0, m, window);
    pace__forget(m->by_rule, m->rule, m, window);
    m->paced_window = 0;
}

/* What the connection may send a second; PACE_UNLIMITED: as it likes. */
static __always_inline __u64 pace__of(const struct bpf_sock_ops *ctx, struct ps_socket *m) {
    __u32 window = limiter__pace_window(), all = (__u32)ctx->bytes_acked, acked = all - m->acked;
    __u64 whole, by_rule;

    if (!(m->container || m->by_rule) || !pace__is_held(m)) {
        pace__leave(m);
        return PACE_UNLIMITED;
    }
    if (!m->paced_window)
        acked = 0; /* since it was last held */
    whole = pace__share(ctx, m->container, 0, m, window, acked);
    by_rule = pace__share(ctx, m->by_rule, m->rule, m, window, acked);
    m->paced_window = window;
    m->acked = all;
    return whole < by_rule ? whole : by_rule;
}

/* Segments that the congestion window of a connection with this share needs. */
static __always_inline __u32 pace__segments(const struct bpf_sock_ops *ctx, __u64 share) {
    __u32 ack_us = ctx->srtt_us >> 3 << 1, mss = ctx->mss_cache;

    if (share >= PACE_AMPLE || ctx->rtt_min >= PACE_SHORT_US || !mss)
        return PACE_UNBOUND;
    if (ack_us < PACE_ACK_US)
        ack_us = PACE_ACK_US;
    return PACE_FEWEST + (__u32)(share * ack_us / 1000000 / mss);
}

/*
 * Over a short path the kernel gives a connection up to 64 KiB at once, whatever its pace (net.ipv4.tcp_tso_rtt_log), if
 * the congestion window has room for it: at a small share it is silent for long then, and a few of them fill the burst
 * together. So the window may not grow beyond what the share needs, and begins small: cubic keeps what it has until it is
 * used up. The kernel takes the bound for its slow start's end, too; so it stays as it is while something was lost, and
 * where little would change.
 */
static __always_inline void pace__bound(struct bpf_sock_ops *ctx, struct ps_socket *m, __u64 share) {
    __u32 segments = pace__segments(ctx, share), now = m->bound ? m->bound : PACE_UNBOUND,
          apart = segments > now ? segments - now : now - segments, fewest = PACE_FEWEST;

    if (apart <= now / 8 || ctx->lost_out || ctx->retrans_out ||
        bpf_setsockopt(ctx, PACE_IPPROTO_TCP, PACE_CWND_CLAMP, &segments, sizeof(segments)))
        return;
    if (!m->bound) /* refused where it has sent something */
        bpf_setsockopt(ctx, PACE_IPPROTO_TCP, PACE_INITIAL_CWND, &fewest, sizeof(fewest));
    m->bound = segments < PACE_UNBOUND ? segments : 0;
}

/* The socket sends no faster than `pace`, nor than its application wants: what stands there and was not set here. */
static __always_inline void pace__set(struct bpf_sock_ops *ctx, struct ps_socket *m, __u64 pace) {
    __u32 now = 0, wanted;

    pace__bound(ctx, m, pace);
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
