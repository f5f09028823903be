/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet of a flow that was judged before: what its socket remembers holds as long as the container's binding has not
 * changed since. No walk over cgroups, no scratch, one read of the headers, no hash look-up to count it, unless the flow
 * log has no row for it. Whatever is not plainly such a packet is left to the order of gates.
 */
#pragma once

#include "lib/flow_log.h"
#include "lib/kernel.h"
#include "lib/limiter.h"
#include "lib/scratch.h"

#define KNOWN_SOCK_RAW 3
#define KNOWN_CONNECTED 1        /* sk->state, TCP_ESTABLISHED: of connected UDP, too */
#define KNOWN_UDP_NS PS_NS_PER_S /* then the rules and the peer's time are looked at again */
#define KNOWN_PRIME 0x9e3779b97f4a7c15ULL
#define KNOWN_BUSY 1 /* in the place of the flow: somebody writes what is remembered */

/* A socket that may remember: not raw, whose headers are whatever it says; UDP only to one peer. */
static __always_inline int known__may_remember(const struct bpf_sock *sk) {
    if (sk->type == KNOWN_SOCK_RAW)
        return 0;
    return sk->protocol == PS_PROTO_TCP || (sk->protocol == PS_PROTO_UDP && sk->state == KNOWN_CONNECTED);
}

/* ---- a flow in one word ---- */

struct known_flow { /* small: the chain of calls below is at the end of its stack */
    __u64 hash;     /* of the addresses */
    __u16 own_port, peer_port;
    __u8 headers; /* octets of L3 and L4 */
    __u8 tcp_flags;
};

static __always_inline __u64 known__mix(__u64 hash, __u32 high, __u32 low) {
    hash = (hash ^ ((__u64)high << 32 | low)) * KNOWN_PRIME;
    return hash ^ hash >> 32;
}

/* The seed keeps a container from making two flows with one word. */
static __always_inline __u64 known__seed(void) {
    const struct ps_gate *g = identity__gate();

    return g ? g->hash_seed : 0;
}

/*
 * The flow, for the slot's present tenant under its present policy. One word, so that it is remembered and compared in one
 * go: threads that send on one UDP socket write its memory side by side, and a mixture of two flows must not be known.
 */
static __always_inline __u64 known__word(const struct known_flow *k, const struct ps_slot *slot,
                                         __u64 binding) {
    __u64 recount = *(volatile const __u32 *)&slot->recount,
          hash = known__mix(k->hash + recount * KNOWN_PRIME, slot->serial,
                            (__u32)k->own_port << 16 | k->peer_port);

    hash = known__mix(hash, (__u32)(binding >> 32), (__u32)binding);
    return hash > KNOWN_BUSY ? hash : KNOWN_BUSY + 1;
}

/* ---- the packet's flow ---- */

static __always_inline __u32 known__u32(const __u8 *octets) {
    return *(const __u32 *)octets;
}

/* Octets of the L4 header, 0 when it is not plain: a SYN opens something. */
static __always_inline __u32 known__l4(struct known_flow *k, const __u8 *l4, __u8 protocol) {
    if (protocol == PS_PROTO_UDP)
        return PS_UDP_HEADER;
    k->tcp_flags = l4[13];
    if ((l4[13] & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN || l4[12] < 0x50)
        return 0;
    return (l4[12] >> 4) * 4;
}

/* By packet pointers, which are cheap and see the headers of whatever a TCP or UDP socket sends; 0: not a plain packet. */
static __always_inline int known__read_v4(struct __sk_buff *skb, struct known_flow *k, __u8 protocol,
                                          int out) {
    const __u8 *h = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
    __u32 l4;

    if (h + 28 > end || (protocol != PS_PROTO_UDP && h + 40 > end))
        return 0;
    if (h[0] != 0x45 || cursor__be16(h + 6) & 0x3fff || h[9] != protocol)
        return 0; /* options, fragments */
    l4 = known__l4(k, h + 20, protocol);
    k->headers = (__u8)(20 + l4);
    k->hash = known__mix(known__seed(), known__u32(h + (out ? 12 : 16)), known__u32(h + (out ? 16 : 12)));
    k->own_port = cursor__be16(h + (out ? 20 : 22));
    k->peer_port = cursor__be16(h + (out ? 22 : 20));
    return l4 != 0;
}

static __always_inline int known__read_v6(struct __sk_buff *skb, struct known_flow *k, __u8 protocol,
                                          int out) {
    const __u8 *h = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
    __u32 l4;

    if (h + 48 > end || (protocol != PS_PROTO_UDP && h + 60 > end))
        return 0;
    if (h[0] >> 4 != 6 || h[6] != protocol)
        return 0; /* extension headers */
    l4 = known__l4(k, h + 40, protocol);
    k->headers = (__u8)(40 + l4);
    k->hash = known__seed();
    for (int i = 0; i < 16; i += 4)
        k->hash = known__mix(k->hash, known__u32(h + (out ? 8 : 24) + i), known__u32(h + (out ? 24 : 8) + i));
    k->own_port = cursor__be16(h + (out ? 40 : 42));
    k->peer_port = cursor__be16(h + (out ? 42 : 40));
    return l4 != 0;
}

/* The same of a flow that packet.h has read. */
static __always_inline void known__of_flow(struct known_flow *k, const struct flow *f) {
    k->own_port = f->local_port;
    k->peer_port = f->remote_port;
    k->hash = known__seed();
    if (address__is_v4(&f->remote)) {
        k->hash = known__mix(k->hash, f->local.words[3], f->remote.words[3]);
        return;
    }
    for (int i = 0; i < 4; i++)
        k->hash = known__mix(k->hash, f->local.words[i], f->remote.words[i]);
}

/* ---- what is known ---- */

/* The word that the packet's flow has now; 0 when its slot was given back, or its row was taken by a change of policy. */
static __always_inline __u64 known__word_now(const struct ps_socket *m, const struct known_flow *k) {
    __u32 index = m->slot;
    const struct ps_slot *slot = bpf_map_lookup_elem(&slots, &index);

    if (!slot || slot->flags & PS_SLOT_RELEASED)
        return 0;
    return known__word(k, slot, *(volatile const __u64 *)&slot->binding);
}

/* Over a limit, or is what it spends in other hands? Then it is judged, charged and counted like any other. */
static __always_inline int known__is_over(const struct __sk_buff *skb, const struct ps_socket *m,
                                          __u64 container, __u64 by_rule, __u32 direction, __u32 length,
                                          __u32 packets) {
    if (limiter__are_free(container, by_rule, direction))
        return 0;
    if (!limiter__is_of(container, m->slot, 0) || !limiter__is_of(by_rule, m->slot, m->rule))
        return 1;
    return skb->ifindex != PS_IFINDEX_LO && limiter__both(container, by_rule, direction, length, packets);
}

/* Is UDP's memory still good? What comes over lo may be anybody's. */
static __always_inline int known__udp_holds(const struct __sk_buff *skb, const struct bpf_sock *sk,
                                            const struct ps_socket *m, int out) {
    return sk->state == KNOWN_CONNECTED && (out || skb->ifindex != PS_IFINDEX_LO) &&
           clock__is_within(m->judged_ns, KNOWN_UDP_NS);
}

static __always_inline int known__passes(struct __sk_buff *skb, int direction) {
    int out = direction == PS_EGRESS;
    struct bpf_sock *sk = skb->sk;
    struct known_flow k = {};
    const struct ps_socket *m;
    __u32 length = skb->len, packets = 1, cell, row;
    __u8 protocol;
    __u64 word, cut, container, by_rule;

    m = sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : 0;
    word = m ? *(volatile const __u64 *)&m->flow : 0;
    if (!word || !m->protocol) /* 0: remembered by a program before this one */
        return 0;
    protocol = m->protocol;
    if (protocol == PS_PROTO_UDP && !known__udp_holds(skb, sk, m, out))
        return 0;
    if (!(kernel__is_v4(skb) ? known__read_v4(skb, &k, protocol, out)
                             : known__read_v6(skb, &k, protocol, out)))
        return 0;
    container = m->container;
    by_rule = m->by_rule;
    cell = out ? m->egress_cell : m->ingress_cell;
    row = m->flow_row;
    asm volatile("" ::: "memory"); /* all of it between the two looks at the flow */
    if (known__word_now(m, &k) != word || *(volatile const __u64 *)&m->flow != word)
        return 0; /* the latter: overtaken by another thread, and what was read may be of its flow */
    if (row && !flow_log__holds(row, word, m->judged_ns))
        return 0;
    if (out && protocol == PS_PROTO_UDP && !kernel__stays_whole(skb, k.headers - PS_UDP_HEADER)) {
        cut = kernel__fragments(skb, k.headers - PS_UDP_HEADER);
        length = (__u32)cut;
        packets = (__u32)(cut >> 32);
        if (!packets)
            return 0; /* refused there */
    }
    if (skb->gso_segs > 1) {
        packets = skb->gso_segs;
        length += (packets - 1) * k.headers;
    }
    if (known__is_over(skb, m, container, by_rule, (__u32)direction, length, packets))
        return 0;
    account__count(cell, packets, length);
    flow_log__known(m->slot, row, (__u32)direction, k.tcp_flags, packets, length);
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
 * Puts into the scratch what the packet's socket remembers of the scratch's flow. Of TCP alone: its memory changes under
 * the socket's lock, while UDP's may be another flow's; of UDP, udp_peers knows.
 */
PS_GLOBAL int known__recall(struct __sk_buff *skb, __u32 index, __u32 serial) {
    struct bpf_sock *sk = skb->sk;
    struct scratch *s = scratch__at(index);
    const struct ps_socket *m;
    union ps_address remote;

    sk = sk ? bpf_sk_fullsock(sk) : 0;
    if (!s || !sk || !known__may_remember(sk))
        return 0;
    s->past = PAST_CAN_REMEMBER;
    m = sk->protocol == PS_PROTO_TCP ? bpf_sk_storage_get(&sockets, sk, 0, 0) : 0;
    if (!m)
        return 0;
    s->past |= m->admitted ? PAST_ADMITTED : 0;
    __builtin_memcpy(remote.octets, m->remote, 16);
    if (m->remote_port != s->flow.remote_port || remote.halves[0] != s->flow.remote.halves[0] ||
        remote.halves[1] != s->flow.remote.halves[1])
        return 0; /* a socket may be disconnected and connect elsewhere */
    s->past |= PAST_SAME_FLOW;
    if (m->accepted)
        s->past |= PAST_ACCEPTED;
    if (m->serial && m->local_port == s->flow.local_port)
        s->past |= PAST_AGAIN;
    if (m->serial == serial) {
        s->open_name = m->name_hash;
        s->open_rule = m->rule;
    }
    return 0;
}

/*
 * Keeps what allowed the flow in the scratch: until the binding changes its packets are known, in both directions (what
 * arrives in a flow of our own is allowed by `inbound`, whatever that is).
 */
PS_GLOBAL int known__remember(struct __sk_buff *skb, __u32 index, __u32 reason) {
    struct bpf_sock *sk = skb->sk;
    const struct scratch *s = scratch__at(index);
    const struct ps_slot *slot;
    struct known_flow k = {};
    struct ps_socket *m;
    struct ps_flow *log;
    __u64 word;
    __u32 row;

    sk = sk ? bpf_sk_fullsock(sk) : 0;
    if (!sk || !s || !(s->past & PAST_CAN_REMEMBER))
        return 0;
    row = s->slot;
    slot = bpf_map_lookup_elem(&slots, &row);
    m = slot ? bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
    if (!m)
        return 0; /* no memory: judged again next time */
    if (__sync_lock_test_and_set(&m->flow, KNOWN_BUSY) == KNOWN_BUSY)
        return 0; /* another thread, or the packet that this one interrupts: judged again next time */
    if (!(s->past & PAST_SAME_FLOW))
        m->accepted = 0;
    m->name_hash = s->best.name_hash;
    m->rule = s->best.rule;
    m->container = s->container;
    m->by_rule = s->by_rule;
    __builtin_memcpy(m->remote, s->flow.remote.octets, 16);
    m->remote_port = s->flow.remote_port;
    m->local_port = s->flow.local_port;
    m->slot = s->slot;
    m->serial = slot->serial;
    m->protocol = (__u8)sk->protocol;
    m->judged_ns = clock__late_monotonic_ns();
    m->egress_cell = account__cell(s->slot, m->rule, m->name_hash, ACCOUNT_ROW(PS_EGRESS, PS_ALLOW, reason));
    m->ingress_cell =
        account__cell(s->slot, m->rule, m->name_hash, ACCOUNT_ROW(PS_INGRESS, PS_ALLOW, PS_R_INBOUND));
    known__of_flow(&k, &s->flow);
    word = known__word(&k, slot, s->binding);
    m->flow_row = s->logs && !s->flow.over_lo ? flow_log__row(index) : 0;
    log = flow_log__at(m->flow_row);
    if (log)
        *(volatile __u64 *)&log->word = word;
    asm volatile("" ::: "memory"); /* all of it before it is known */
    *(volatile __u64 *)&m->flow = word;
    return 0;
}
