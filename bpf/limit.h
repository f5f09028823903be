/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a policy allows, and what a container has spent of it: part of abi.h, and under its rules. */
#pragma once

#include "layout.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

/* Units: octets, octets, IP packets (of a GSO buffer: all it becomes), connections and UDP conversations, DNS queries. */
enum ps_rate_kind {
    PS_RATE_EGRESS = 0,
    PS_RATE_INGRESS = 1,
    PS_RATE_PACKETS = 2,
    PS_RATE_CONNECTIONS = 3,
    PS_RATE_QUERIES = 4,
    PS_RATES = 5,
};
/* A token bucket as GCRA: `units` pass while max(full, now) + (units * cost >> shift) - now <= burst_ns. */
struct ps_rate {
    __u64 cost;     /* ns that one unit takes to come back, times 2^shift; 0: no such limit */
    __u64 burst_ns; /* time the whole burst takes to come back */
    __u32 shift;
    __u32 pad;
};
PS_ASSERT_SIZE(ps_rate, 24);

/* limit_ids: HASH -> index of limits, an ARRAY. Never changed while a binding names the policy. */
struct ps_limits_key {
    __u64 rule; /* 0: the container as a whole */
    __u16 policy;
    __u16 pad[3];
};
PS_ASSERT_SIZE(ps_limits_key, 16);
struct ps_limits {
    struct ps_rate rates[PS_RATES];
    __u64 quota_bytes; /* 0: no quota */
    __u64 window_ns;
    __u32 quota_directions; /* bit n: ps_direction n is charged */
    __u32 pad;
};
PS_ASSERT_SIZE(ps_limits, 144);

/*
 * budget_ids: HASH -> index of budgets, an ARRAY, mmapable. Kept over changes of policy: a new limit finds what was spent.
 */
struct ps_budget_key {
    __u64 rule; /* as in ps_limits_key */
    __u32 slot;
    __u32 pad;
};
PS_ASSERT_SIZE(ps_budget_key, 16);
struct ps_budget {
    __u64 rule;   /* whose it is: its key in budget_ids */
    __u32 slot;   /* 0: nobody's */
    __u8 is_kept; /* the daemon's: what was stored for its container is in it, or it is in what is stored */
    __u8 pad;
    __u8 round_windows;      /* of pace.h: how long the round is, */
    __u8 longest_gap;        /* and a connection was silent in it */
    __u64 full_ns[PS_RATES]; /* CLOCK_MONOTONIC at which the bucket is full again */
    __u64 spent;             /* PS_SPENT: octets in the quota's present window */
    __u64 window[2];         /* PS_WINDOW, 0: not begun; which of them holds is PS_SPENT_CHOICE of `spent` */
    __u64 granted;           /* PS_SPENT: octets on top of the quota, in that window alone */
    __u64 told;              /* PS_SPENT: per cent of the quota that an event told of, in that window */
    __u64 flows; /* PS_SPENT: TCP connections heard of since this window of pace.h, its round's first */
    __u32 dropped_window; /* in which a packet was last over the egress rate */
    __u32 gain;           /* what each may take of its share, in 1/PACE_ONE, */
    __u32 gain_window;    /* as it was settled in this window, */
    __u32 acked;          /* with so many octets of the connections acknowledged since */
    __u32 flows_before;   /* in the round before */
    __u32 changing;       /* one CPU writes the other window: quota.h */
};
PS_ASSERT_SIZE(ps_budget, 128);
/*
 * Window and octets in one word, to turn and count in one swap. A window's tag: which of the budget's two
 * it is of, its number.
 */
#define PS_SPENT_BITS 48
#define PS_SPENT_TAG(choice, number) PS_CAST(__u16, (choice) << 15 | ((number)&0x7fff))
#define PS_SPENT_CHOICE(spent) ((spent) >> 63)
#define PS_SPENT(window, octets)                                                                             \
    ((PS_CAST(__u64, window) << PS_SPENT_BITS) | ((octets) & ((PS_CAST(__u64, 1) << PS_SPENT_BITS) - 1)))
#define PS_SPENT_WINDOW(spent) PS_CAST(__u16, (spent) >> PS_SPENT_BITS)
#define PS_SPENT_OCTETS(spent) ((spent) & ((PS_CAST(__u64, 1) << PS_SPENT_BITS) - 1))
/* How long a quota's windows are, and when number 0 began, by CLOCK_BOOTTIME: before the boot it is a negative number. */
#define PS_WINDOW_BITS 39
#define PS_WINDOW(length_s, start_ms)                                                                        \
    ((PS_CAST(__u64, length_s) << PS_WINDOW_BITS) |                                                          \
     (PS_CAST(__u64, start_ms) & ((PS_CAST(__u64, 1) << PS_WINDOW_BITS) - 1)))
#define PS_WINDOW_LENGTH_S(window) ((window) >> PS_WINDOW_BITS)
#define PS_WINDOW_START_MS(window)                                                                           \
    (PS_CAST(__s64, (window) << (64 - PS_WINDOW_BITS)) >> (64 - PS_WINDOW_BITS))

#ifdef __cplusplus
} // namespace penstock::abi
#endif
