/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet of a flow that was judged before: what its socket remembers holds as long as the container's binding has not
 * changed since. No walk over cgroups, no scratch, one read of the headers, no hash look-up to count it. Whatever is not
 * plainly such a packet is left to the order of gates.
 */
#pragma once

#include "lib/account.h"
#include "lib/packet.h"

#define KNOWN_SOCK_RAW 3
#define KNOWN_CONNECTED 1        /* sk->state, TCP_ESTABLISHED: of connected UDP, too */
#define KNOWN_UDP_NS PS_NS_PER_S /* then the rules and the peer's time are looked at again */

/* A socket that may remember: not raw, whose headers are whatever it says; UDP only to one peer. */
static __always_inline int known__may_remember(const struct bpf_sock *sk) {
    if (sk->type == KNOWN_SOCK_RAW)
        return 0;
    return sk->protocol == PS_PROTO_TCP || (sk->protocol == PS_PROTO_UDP && sk->state == KNOWN_CONNECTED);
}

/* Octets of the L4 header, 0 when it is not plain: a SYN opens something. */
static __always_inline __u32 known__l4(const __u8 *l4, __u8 protocol) {
    if (protocol == PS_PROTO_UDP)
        return 8;
    if ((l4[13] & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN || l4[12] < 0x50)
        return 0;
    return (l4[12] >> 4) * 4;
}

static __always_inline int known__is_same(const __u8 *remembered, const union ps_address *a) {
    union ps_address b;

    __builtin_memcpy(b.octets, remembered, 16);
    return b.halves[0] == a->halves[0] && b.halves[1] == a->halves[1];
}

/*
 * Of the flow that is remembered? The remote end; of UDP the own end, too: such a socket may disconnect and take another
 * port or, if it was lent one before, another address. TCP can't do so without a SYN, which is never known.
 */
static __always_inline int known__is_flow(const struct ps_socket *m, const union ps_address *source,
                                          const union ps_address *destination, const __u8 *ports,
                                          __u8 protocol, int direction) {
    int out = direction == PS_EGRESS;

    if (!known__is_same(m->remote, out ? destination : source) ||
        m->remote_port != cursor__be16(out ? ports + 2 : ports))
        return 0;
    return protocol == PS_PROTO_TCP || (known__is_same(m->local, out ? source : destination) &&
                                        m->local_port == cursor__be16(out ? ports : ports + 2));
}

/*
 * Octets of the headers of a packet of the flow that is remembered, 0 when it is another or not a plain one. By packet
 * pointers, which are cheap and see the headers of whatever a TCP or UDP socket sends; where they don't, it is not known.
 */
static __always_inline __u32 known__headers_v4(struct __sk_buff *skb, const struct ps_socket *m,
                                               __u8 protocol, int direction) {
    const __u8 *h = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
    union ps_address source, destination;
    __u32 l4;

    if (h + 28 > end || (protocol == PS_PROTO_TCP && h + 40 > end))
        return 0;
    if (h[0] != 0x45 || cursor__be16(h + 6) & 0x3fff || h[9] != protocol)
        return 0; /* options, fragments */
    packet__put_v4(&source, h + 12);
    packet__put_v4(&destination, h + 16);
    l4 = known__l4(h + 20, protocol);
    return l4 && known__is_flow(m, &source, &destination, h + 20, protocol, direction) ? 20 + l4 : 0;
}

static __always_inline __u32 known__headers_v6(struct __sk_buff *skb, const struct ps_socket *m,
                                               __u8 protocol, int direction) {
    const __u8 *h = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
    union ps_address source, destination;
    __u32 l4;

    if (h + 48 > end || (protocol == PS_PROTO_TCP && h + 60 > end))
        return 0;
    if (h[0] >> 4 != 6 || h[6] != protocol)
        return 0; /* extension headers */
    packet__put_v6(&source, h + 8);
    packet__put_v6(&destination, h + 24);
    l4 = known__l4(h + 40, protocol);
    return l4 && known__is_flow(m, &source, &destination, h + 40, protocol, direction) ? 40 + l4 : 0;
}

/* Is it remembered under the container's present binding? A slot that changed hands has another serial. */
static __always_inline int known__holds(const struct ps_socket *m) {
    __u64 binding = *(volatile const __u64 *)&m->binding;
    __u32 index = m->slot;
    const struct ps_slot *slot;

    if (!binding)
        return 0;
    slot = bpf_map_lookup_elem(&slots, &index);
    return slot && *(volatile const __u64 *)&slot->binding == binding && slot->serial == m->serial &&
           !(slot->flags & PS_SLOT_RELEASED); /* nor one whose row was taken away by a change of policy */
}

static __always_inline int known__passes(struct __sk_buff *skb, int direction) {
    struct bpf_sock *sk = skb->sk;
    const struct ps_socket *m;
    __u32 headers, length = skb->len;
    __u8 protocol;

    sk = sk ? bpf_sk_fullsock(sk) : 0;
    if (!sk || !known__may_remember(sk))
        return 0;
    protocol = (__u8)sk->protocol;
    m = bpf_sk_storage_get(&sockets, sk, 0, 0);
    if (!m || !known__holds(m))
        return 0;
    if (protocol == PS_PROTO_UDP && bpf_ktime_get_coarse_ns() - m->judged_ns > KNOWN_UDP_NS)
        return 0;
    if (protocol == PS_PROTO_UDP && direction == PS_INGRESS && skb->ifindex == PS_IFINDEX_LO)
        return 0; /* what comes over lo may be anybody's */
    headers = skb->protocol == bpf_htons(0x0800) ? known__headers_v4(skb, m, protocol, direction)
                                                 : known__headers_v6(skb, m, protocol, direction);
    if (!headers)
        return 0;
    if (skb->gso_segs > 1)
        length += (skb->gso_segs - 1) * headers;
    account__count(direction == PS_EGRESS ? m->egress_cell : m->ingress_cell, 1, length);
    return 1;
}

/* Global, for the stack of the hooks and so that its paths are not times those of all that follows. */
PS_GLOBAL int known__egress(struct __sk_buff *skb) {
    return known__passes(skb, PS_EGRESS);
}

PS_GLOBAL int known__ingress(struct __sk_buff *skb) {
    return known__passes(skb, PS_INGRESS);
}

/*
 * Keeps what allowed the flow: until the binding changes its packets are known, in both directions (what arrives in a flow
 * of our own is allowed by `inbound`, whatever that is).
 */
static __always_inline void known__remember(struct bpf_sock *sk, const struct flow *f,
                                            const struct identity *me, __u64 rule, __u64 name_hash,
                                            __u8 reason, int same_flow) {
    struct ps_socket *m = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

    if (!m)
        return;                         /* no memory: judged again next time */
    *(volatile __u64 *)&m->binding = 0; /* not valid while it changes */
    asm volatile("" ::: "memory");
    if (!same_flow)
        m->accepted = 0;
    m->name_hash = name_hash;
    __builtin_memcpy(m->remote, f->remote.octets, 16);
    __builtin_memcpy(m->local, f->local.octets, 16);
    m->remote_port = f->remote_port;
    m->local_port = f->local_port;
    m->slot = me->slot;
    m->serial = me->serial;
    m->judged_ns = bpf_ktime_get_coarse_ns();
    m->egress_cell = account__cell(me->slot, rule, ACCOUNT_ROW(PS_EGRESS, PS_ALLOW, reason));
    m->ingress_cell = account__cell(me->slot, 0, ACCOUNT_ROW(PS_INGRESS, PS_ALLOW, PS_R_INBOUND));
    asm volatile("" ::: "memory"); /* all of it before it is valid */
    *(volatile __u64 *)&m->binding = me->binding;
}
