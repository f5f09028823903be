/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What leaves the kernel: counters and events. Part of abi.h, and under its rules. */
#pragma once

#include "layout.h"
#include "policy_row.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

/* counters: HASH -> index of cells, a PERCPU_ARRAY of ps_counter: an open flow counts without a hash look-up. */
struct ps_counter_key {
    __u64 rule;      /* 0 = no rule */
    __u64 name_hash; /* the learned name that allowed it, PS_NAME_OTHER, or 0 */
    __u32 slot;
    __u8 direction;
    __u8 verdict;
    __u8 reason;
    __u8 pad;
};
PS_ASSERT_SIZE(ps_counter_key, 24);
/* Names that are no hash. RETIRING and on: rows of names that make room, on their way to OTHER (retire.bpf.c). */
enum ps_fixed_name {
    PS_NAME_OTHER = 1,
    PS_NAME_RETIRING = 2,
    PS_NAME_FIRST_HASH = 256,
    PS_NAMES_RETIRING = 254, /* at one time, of alike rows */
};
struct ps_counter {
    __u64 packets; /* of a noticed thing: how often */
    __u64 bytes;   /* IP octets, every segment's headers counted */
};
PS_ASSERT_SIZE(ps_counter, 16);

/* What the daemon runs ps_retire with, as a packet's first octets; ps_fold takes the key alone. */
struct ps_retire {
    struct ps_counter_key key;
    __u32 number; /* which of PS_NAMES_RETIRING it becomes */
    __u32 pad;
};
PS_ASSERT_SIZE(ps_retire, 32);

enum ps_event_kind {
    PS_EVENT_DENIED = 1,
    PS_EVENT_BORN = 2,
    PS_EVENT_DYING = 3,
    PS_EVENT_RELEASED = 4,
    PS_EVENT_QUOTA = 5, /* `length` per cent of a quota are spent: 80, 100 */
};
/* tellers: ARRAY by slot, the bucket of gate.event_cost_ns. */
struct ps_teller {
    __u64 full_ns;
};
PS_ASSERT_SIZE(ps_teller, 8);
struct ps_event {
    __u64 time_ns;
    __u64 cgroup_id;
    __u64 rule;
    __u32 slot;
    __u32 serial;
    __u32 generation; /* of the policy that judged */
    __u32 length;     /* IP octets */
    __u8 kind;
    __u8 hook;
    __u8 direction;
    __u8 verdict;
    __u8 reason;
    __u8 protocol;
    __u16 query_type;
    __u16 local_port;
    __u16 remote_port;
    __u8 local[16];
    __u8 remote[16];
    __u32 pid;     /* of the task that asked, where the hook knows it: not of a packet */
    char comm[16]; /* its name, as it likes to be called */
    __u16 name_length;
    __u8 name[PS_NAME_MAX + 1]; /* denied: the name asked for, reversed as in ps_name_key; born: path's end */
};
PS_ASSERT_SIZE(ps_event, 360);

#ifdef __cplusplus
} // namespace penstock::abi
#endif
