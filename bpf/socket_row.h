/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an open flow's socket remembers: part of abi.h, and under its rules. */
#pragma once

#include "layout.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

/*
 * sockets: SK_STORAGE, TCP and connected UDP. What an open flow was allowed by, and where it is counted. UDP sockets may be
 * used on several CPUs at once: `flow` is looked at before the rest is read and once more before it is used. What an older
 * program left is safe: 0 in a field that it did not know, and without the marks of a charge all is looked at.
 */
struct ps_socket {
    __u64 flow;      /* hash of the allowed flow, its slot, serial and binding; 0: none; 1: being written */
    __u64 name_hash; /* the learned name that allowed the flow, 0 if a CIDR did */
    __u64 rule;
    __u64 container, by_rule; /* charges: see limiter__find; 0: not limited */
    __u64 judged_ns;          /* UDP: when the rules and the peer were last looked at */
    __u8 remote[16];          /* of the flow all this is said of: a socket may connect again elsewhere */
    __u32 slot;
    __u32 serial; /* 0: no verdict yet */
    __u16 remote_port;
    __u16 local_port;
    __u8 accepted;                   /* others opened it */
    __u8 admitted;                   /* connect() was charged as a connection: its SYN is not */
    __u8 protocol;                   /* of the socket */
    __u8 heard_before;               /* of pace.h: in the round before, too */
    __u32 egress_cell, ingress_cell; /* of `cells`, plus 1; 0: none */
    __u32 paced_window; /* of pace.h, in which it was last heard of; 0: it is not, or has ended */
    __u32 flow_row;     /* of `flows`, plus 1; 0: not logged; all ones: has no room */
    __u32 pace,
        own_pace; /* octets a second: as pace.h set it (0: not held), and as the application wants it */
    __u32 acked;  /* octets, as pace.h last saw it */
    __u32 bound;  /* segments of its congestion window, as pace.h set it; 0: as it likes */
};
PS_ASSERT_SIZE(ps_socket, 112);

#ifdef __cplusplus
} // namespace penstock::abi
#endif
