/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk over L3 and L4 headers of whatever is not plainly of a flow that known.h knows: fills a struct flow or gives the
 * reason why it will not. Headers that can hide the destination or the ports (options, routing, fragments) are refused,
 * not skipped.
 */
#pragma once

#include "lib/address.h"
#include "lib/cursor.h"

#define PS_PROTO_ICMP 1
#define PS_PROTO_TCP 6
#define PS_PROTO_UDP 17
#define PS_PROTO_ICMPV6 58
#define PS_UDP_HEADER 8 /* octets */
#define PS_TCP_FIN 0x01
#define PS_TCP_SYN 0x02
#define PS_TCP_RST 0x04
#define PS_TCP_ACK 0x10
#define PS_PORT_DNS 53
#define PS_IFINDEX_LO 1
#define PS_EXTENSION_HEADERS 8

/* One packet, or one attempt to send: local is the container's side in both directions. */
struct flow {
    union ps_address local, remote;
    __u16 local_port, remote_port;
    __u8 protocol; /* IPPROTO_*, after extension headers */
    __u8 direction;
    __u8 tcp_flags;
    __u8 hook;
    __u8 over_lo;         /* on the loopback device */
    __u16 l4_offset;      /* from the IP header */
    __u32 netns;          /* see ps_address_key */
    __u32 payload_offset; /* from the IP header */
    __u32 payload_length;
    __u32 length;  /* IP octets as they leave: every segment's headers counted */
    __u32 packets; /* IP packets that it becomes */
};

PS_INLINE void packet__put_v4(union ps_address *a, const __u8 *octets) {
    address__from_v4(a, cursor__be32(octets));
}

PS_INLINE void packet__put_v6(union ps_address *a, const __u8 *octets) {
    __builtin_memcpy(a->octets, octets, 16);
}

PS_INLINE __u8 packet__read_v4(struct ps_packet *p, struct flow *f, __u32 *l4) {
    __u8 ip[20];

    if (cursor__load(p, 0, ip, sizeof(ip)))
        return PS_R_TRUNCATED;
    if (ip[0] != 0x45)
        return (ip[0] & 0xf) < 5 ? PS_R_TRUNCATED : PS_R_IP_OPTIONS;
    if (cursor__be16(ip + 6) & 0x3fff)
        return PS_R_FRAGMENT;
    f->protocol = ip[9];
    packet__put_v4(f->direction == PS_EGRESS ? &f->local : &f->remote, ip + 12);
    packet__put_v4(f->direction == PS_EGRESS ? &f->remote : &f->local, ip + 16);
    *l4 = sizeof(ip);
    return 0;
}

#define PS_EXTENSIONS(reason, next, offset) ((__u32)(reason) << 24 | (__u32)(next) << 16 | (offset))

/*
 * Walks IPv6 extension headers from the first one's type. Gives PS_EXTENSIONS(reason, protocol, offset of L4). A
 * global function, so that its paths are verified once and not times those of all that follows.
 */
PS_GLOBAL __u32 packet__walk_extensions(struct ps_packet *p, __u32 next) {
    __u32 offset = 40;
    __u8 option[2];

    for (int i = 0; i < PS_EXTENSION_HEADERS; i++) {
        if (next == 44)
            return PS_EXTENSIONS(PS_R_FRAGMENT, next, offset);
        if (next == 43 || next == 51 || next == 135 || next == 139 || next == 140)
            break;                   /* routing moves the destination; the others nobody sends */
        if (next != 0 && next != 60) /* hop-by-hop and destination options are stepped over */
            return PS_EXTENSIONS(0, next & 0xff, offset);
        if (cursor__load(p, offset, option, sizeof(option)))
            return PS_EXTENSIONS(PS_R_TRUNCATED, next, offset);
        next = option[0];
        offset += ((__u32)option[1] + 1) * 8;
    }
    return PS_EXTENSIONS(PS_R_EXTENSION_HEADER, next & 0xff, offset);
}

PS_INLINE __u8 packet__read_v6(struct ps_packet *p, struct flow *f, __u32 *l4) {
    __u8 ip[40];
    __u32 end;

    if (cursor__load(p, 0, ip, sizeof(ip)))
        return PS_R_TRUNCATED;
    packet__put_v6(f->direction == PS_EGRESS ? &f->local : &f->remote, ip + 8);
    packet__put_v6(f->direction == PS_EGRESS ? &f->remote : &f->local, ip + 24);
    end = packet__walk_extensions(p, ip[6]);
    f->protocol = (__u8)(end >> 16);
    *l4 = end & 0xffff;
    return (__u8)(end >> 24);
}

#define PS_LEAST_MTU 68 /* of IPv4 (RFC 791, 3.2): below it nothing is cut */

/*
 * IP octets, in the low half, and packets that a datagram of `octets` becomes when its path takes `mtu` at most: IP cuts
 * it after the hook (RFC 791, 3.2; RFC 8200, 4.5). Options and extension headers are not thought of. `mtu` 0: unknown.
 */
PS_INLINE __u64 packet__fragments(__u32 octets, __u32 mtu, int is_v4) {
    __u32 header = is_v4 ? 20 : 40, repeated = is_v4 ? 20 : 48, each, pieces;

    if (octets <= mtu || mtu < PS_LEAST_MTU || octets < header)
        return (__u64)1 << 32 | octets;
    each = (mtu - repeated) & ~7U;
    pieces = (octets - header + each - 1) / each;
    return (__u64)pieces << 32 | (octets - header + pieces * repeated);
}

/*
 * Fills `f` (zeroed but for direction and hook). 0, or the reason why the packet can't be judged; then the fields
 * that were read are there for the event.
 */
PS_INLINE __u8 packet__read(struct ps_packet *p, struct flow *f) {
    __u8 head[14]; /* of TCP: up to the flags */
    __u32 l4 = 0, header = 0;
    __u8 version, reason;

    f->length = p->len;
    f->packets = p->gso_segs > 1 ? p->gso_segs : 1;
    if (cursor__load(p, 0, &version, 1))
        return PS_R_TRUNCATED;
    if (version >> 4 == 4)
        reason = packet__read_v4(p, f, &l4);
    else if (version >> 4 == 6)
        reason = packet__read_v6(p, f, &l4);
    else
        return PS_R_NOT_IP;
    if (reason)
        return reason;
    f->l4_offset = (__u16)l4;
    if (f->protocol == PS_PROTO_TCP) {
        if (cursor__load(p, l4, head, 14))
            return PS_R_TRUNCATED;
        header = (head[12] >> 4) * 4;
        f->tcp_flags = head[13];
        if (header < 20)
            return PS_R_TRUNCATED;
    } else if (f->protocol == PS_PROTO_UDP) {
        if (cursor__load(p, l4, head, PS_UDP_HEADER))
            return PS_R_TRUNCATED;
        header = PS_UDP_HEADER;
    } else {
        return 0; /* no ports: rules for other protocols look at the address alone */
    }
    f->local_port = cursor__be16(f->direction == PS_EGRESS ? head : head + 2);
    f->remote_port = cursor__be16(f->direction == PS_EGRESS ? head + 2 : head);
    if (l4 + header > p->len)
        return PS_R_TRUNCATED;
    f->payload_offset = l4 + header;
    f->payload_length = p->len - f->payload_offset;
    if (p->gso_segs > 1)
        f->length += (p->gso_segs - 1) * (l4 + header);
    return 0;
}
