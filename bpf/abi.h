/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The boundary between the BPF programs and the daemon: every struct, enum, limit, reason and event
 * that crosses it, once. Compiles as BPF C and as C++20 (there in namespace penstock::abi). Its parts are the files
 * included below; nobody outside bpf/ includes one of them by itself.
 *
 * Rules: fixed-width types; every padding byte is a named field and is zero (keys are compared as
 * bytes); addresses are 16 octets in network order, IPv4 as ::ffff:a.b.c.d; ports are host order
 * unless the name ends in _be; times are nanoseconds of CLOCK_MONOTONIC; a change of any layout or
 * meaning raises PS_ABI_VERSION, which decides whether pinned maps are adopted. But `sockets`, which only programs
 * read, may get new meanings that programs before and after take safely.
 */
#pragma once

#include "container_row.h"
#include "flow_row.h"
#include "layout.h"
#include "learned_row.h"
#include "limit.h"
#include "policy_row.h"
#include "reason.h"
#include "record.h"
#include "socket_row.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

enum ps_capacities {
    PS_ABI_VERSION = 6,
    PS_SLOTS = 16384,             /* containers at one time */
    PS_POLICIES = 32768,          /* compiled policies at one time, old and new while they change */
    PS_LEVELS = 32,               /* cgroup depth at which a row may stand: 0..31 */
    PS_DNS_MESSAGES = 8,          /* whole messages in one TCP segment to port 53 */
    PS_DNS_TCP_TIMEOUT_MS = 3000, /* unacknowledged octets on a connection to a resolver */
    PS_ANSWER_MAX = 4096,         /* octets of an answer that are read */
    PS_ANSWER_RECORDS = 128,      /* records of an answer that are read */
    PS_TTL_MAX_S = 604800,        /* a learned address lives a week at most (RFC 8767, 4) */
    PS_QUERY_LIFETIME_S = 30,     /* an answer later than this teaches nothing */
    PS_UDP_REPLY_S = 120,         /* a UDP peer that wrote to us may be answered this long */
    PS_SCRATCH_SLOTS = 8,         /* nesting depth of programs on one CPU */
    PS_CELLS = 131072,            /* counter rows of all containers together */
    PS_LIMITS = 65536,            /* limits of all policies together, of their rules too */
    PS_BUDGETS = 65536,           /* what all containers together have spent of them */
    PS_FLOWS = 32768,             /* rows of the flow log, of all containers together */
    PS_BIRTH_ENTRIES = 8192,      /* birth patterns, and paths that policies select */
};

/* Slots and policies with a fixed meaning. A binding of 0 is "unbound" and denies. */
enum ps_fixed_slot { PS_SLOT_OVERFLOW = 0, PS_SLOT_GONE = 1, PS_SLOT_FIRST = 2 };
enum ps_fixed_policy {
    PS_POLICY_UNBOUND = 0,
    PS_POLICY_BIRTH_DENY = 1,
    PS_POLICY_BIRTH_ALLOW = 2,
    PS_POLICY_BIRTH_AUDIT = 3,
    PS_POLICY_FIRST = 16,
};

enum ps_mode {
    PS_MODE_ENFORCE = 1,
    PS_MODE_AUDIT = 2, /* judge, count "would deny", let pass */
    PS_MODE_OPEN = 3,  /* let pass unjudged, learn: a container whose policy is not known yet */
};

enum ps_verdict {
    PS_NONE = 0, /* nothing matched (a match); a thing noticed, no packet decided (a counter) */
    PS_ALLOW = 1,
    PS_DENY = 2,
    PS_WOULD_DENY = 3, /* audit mode */
    PS_UNTOLD = 4,     /* a counter: an event that the container's budget or a full ring swallowed */
};

enum ps_direction { PS_EGRESS = 0, PS_INGRESS = 1 };

enum ps_hook {
    PS_HOOK_NONE = 0,
    PS_HOOK_EGRESS = 1,
    PS_HOOK_INGRESS = 2,
    PS_HOOK_CONNECT = 3,
    PS_HOOK_SENDMSG = 4,
    PS_HOOK_SOCK_CREATE = 5,
    PS_HOOK_LSM = 6,
    PS_HOOK_BIRTH = 7,
    PS_HOOK_SOCKOPT = 8,
};

/* ---- the gate: one element, written by the daemon before anything is attached ---- */

struct ps_gate {
    __u32 abi_version;
    __u32 level_mask; /* bit n: some row stands at cgroup level n */
    __u64 root_id;    /* cgroup id of the gate root */
    __u32 root_level;
    __u32 next_serial;      /* of rows; raised atomically by both sides */
    __u64 hash_seed;        /* of names; random, made once, so that collisions cannot be prepared */
    __u32 learned_per_slot; /* caps of one container; a power of two each */
    __u32 queries_per_slot;
    __u32 udp_peers_per_slot;
    __u32 domains_per_slot;
    __u64 events_lost;        /* ring full; raised atomically */
    __u64 counters_lost;      /* counter map full; raised atomically */
    __u64 births_lost;        /* no free slot: the overflow slot was given */
    __u64 scratch_lost;       /* no free scratch: a packet was denied */
    __u32 next_cell;          /* of `cells` that nobody had yet; those given back are in free_cells */
    __u32 next_budget;        /* the same of `budgets` and free_budgets */
    __u32 name_rows_per_slot; /* counter rows of learned names one container may have; then PS_NAME_OTHER */
    __u32 next_flow;          /* the same of `flows` and free_flows */
    __u32 flows_per_slot;     /* rows of the flow log that one container may have */
    __u32 pad;
    __u64 event_cost_ns;  /* a container may tell one event in this time; 0: as many as it likes */
    __u64 event_burst_ns; /* after this long without any it may tell burst / cost at once */
};
PS_ASSERT_SIZE(ps_gate, 120);
PS_ASSERT_OFFSET(ps_gate, event_cost_ns, 104); /* tests/lab/pinned.py knows it */

#ifdef __cplusplus
} // namespace penstock::abi
#endif
