/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flow log: what one conversation has carried. Part of abi.h, and under its rules. */
#pragma once

#include "layout.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

/* flow_ids: HASH -> index of flows. `serial` is of the container's row, so that a slot's next tenant finds none of it. */
struct ps_flow_key {
    __u8 local[16], remote[16];
    __u32 serial;
    __u32 netns; /* as in ps_address_key */
    __u16 local_port, remote_port;
    __u8 protocol;
    __u8 pad[3];
};

/*
 * flows: ARRAY, mmapable. The programs fill a row and add to it; the daemon reads it, writes the fields at its end, and
 * gives it back as zeros. Arrays by ps_direction.
 */
struct ps_flow {
    struct ps_flow_key key;
    __u64 word;     /* of known.h: whose socket may add without looking for the key; 0: nobody's */
    __u64 begun_ns; /* of its first packet; 0: the row is free */
    __u64 last_ns;  /* of its last, to a tick of the kernel's timer */
    __u64 rule;     /* what it was allowed by last, and the learned name */
    __u64 name_hash;
    __u64 packets[2];
    __u64 bytes[2]; /* IP octets, as ps_counter */
    __u32 slot;
    __u32 generation; /* of the policy that judged it last */
    __u8 direction;   /* of its first packet: who opened it */
    __u8 verdict;
    __u8 reason;
    __u8 ends;     /* PS_FLOW_* seen */
    __u32 closing; /* the daemon's, as all below: 1: no program finds it any more */
    __u64 told_ns; /* up to when, and how much, it was told of */
    __u64 told_packets[2];
    __u64 told_bytes[2];
};
enum ps_flow_ends { PS_FLOW_FIN_OUT = 1, PS_FLOW_FIN_IN = 2, PS_FLOW_RESET = 4 };

PS_ASSERT_SIZE(ps_flow_key, 48);
PS_ASSERT_SIZE(ps_flow, 176);

#ifdef __cplusplus
} // namespace penstock::abi
#endif
