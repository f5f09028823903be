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

/* budget_ids: HASH -> index of budgets, an ARRAY, mmapable. Kept over changes of policy: a new limit finds what was spent. */
struct ps_budget_key {
    __u64 rule; /* as in ps_limits_key */
    __u32 slot;
    __u32 pad;
};
PS_ASSERT_SIZE(ps_budget_key, 16);
struct ps_budget {
    __u64 rule; /* whose it is: its key in budget_ids */
    __u32 slot;
    __u32 flags;
    __u64 full_ns[PS_RATES]; /* CLOCK_MONOTONIC at which the bucket is full again */
    __u64 spent;             /* PS_SPENT: octets in the quota's present window */
    __u64 window_start_ns;   /* CLOCK_BOOTTIME at which window 0 began; 0: not yet */
    __u64 window_ns;         /* the length that `spent` was counted with */
    __u64 granted;           /* PS_SPENT: octets on top of the quota, in that window alone */
    __u64 told;              /* PS_SPENT: per cent of the quota that an event told of, in that window */
    __u64 flows;             /* PS_SPENT: TCP connections that sent in this window of pace.h */
    __u64 dropped_window;    /* of pace.h, in which a packet was last over the egress rate */
    __u32 flows_before;      /* that sent in the window before */
    __u32 gain;              /* what each may take of its share, in 1/PACE_ONE */
    __u64 pad[1];
};
PS_ASSERT_SIZE(ps_budget, 128);
/* The window's number and octets in one word, so that one compare-and-swap turns the window and counts. */
#define PS_SPENT_BITS 48
#define PS_SPENT(window, octets)                                                                             \
    ((PS_CAST(__u64, window) << PS_SPENT_BITS) | ((octets) & ((PS_CAST(__u64, 1) << PS_SPENT_BITS) - 1)))
#define PS_SPENT_WINDOW(spent) PS_CAST(__u16, (spent) >> PS_SPENT_BITS)
#define PS_SPENT_OCTETS(spent) ((spent) & ((PS_CAST(__u64, 1) << PS_SPENT_BITS) - 1))

#ifdef __cplusplus
} // namespace penstock::abi
#endif
