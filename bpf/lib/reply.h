/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who opened a UDP conversation: a peer that wrote to us first may be answered for PS_UDP_REPLY_S after its last
 * packet; a peer that only answers us gains nothing by it, so that a change of policy cuts our own flows at once.
 */
#pragma once

#include "lib/learn.h"

/* The key of the scratch's flow. */
static __always_inline struct ps_udp_peer_key *reply__key(struct scratch *s) {
    struct ps_udp_peer_key *key = &s->peer_key;

    __builtin_memcpy(key->peer, s->flow.remote.octets, 16);
    key->slot = s->slot;
    key->local_port = s->flow.local_port;
    key->peer_port = s->flow.remote_port;
    key->netns = s->flow.netns;
    return key;
}

static __always_inline struct ps_udp_peer *reply__find(__u32 index) {
    struct scratch *s = scratch__at(index);

    return s ? bpf_map_lookup_elem(&udp_peers, reply__key(s)) : 0;
}

static __always_inline int reply__is_live(const struct ps_udp_peer *peer) {
    return peer && bpf_ktime_get_ns() - peer->last_ns < PS_UDP_REPLY_S * PS_NS_PER_S;
}

/* The learned name under which our own conversation is open: it goes on when the address expires. */
static __always_inline __u64 reply__open_name(const struct ps_udp_peer *peer) {
    return reply__is_live(peer) && peer->opened_by_us ? peer->name_hash : 0;
}

/*
 * Notes that we (`ours` 1) or the peer (0) opened the conversation of the scratch's flow, or spoke again in it. Global,
 * because verdict__egress has no stack left for it.
 */
PS_GLOBAL int reply__touch(__u32 index, __u32 ours, __u64 name_hash, __u64 rule) {
    struct ps_udp_peer fresh = {
        .last_ns = bpf_ktime_get_ns(), .name_hash = name_hash, .rule = rule, .opened_by_us = ours};
    const struct ps_gate *g = identity__gate();
    struct scratch *s = scratch__at(index);
    struct ps_udp_peer *peer;
    __s32 place;

    if (!s || !g)
        return 0;
    peer = bpf_map_lookup_elem(&udp_peers, reply__key(s));
    if (peer) {
        peer->opened_by_us = ours;
        peer->name_hash = name_hash;
        peer->rule = rule;
        *(volatile __u64 *)&peer->last_ns = fresh.last_ns;
        if (!ring__is_ageing(s->slot, PS_RING_UDP_PEERS, peer->ring_position, g->udp_peers_per_slot))
            return 0;
    }
    __builtin_memset(&s->ring, 0, sizeof(s->ring));
    __builtin_memcpy(s->ring.key, &s->peer_key, sizeof(s->peer_key));
    place = ring__push(index, s->slot, PS_RING_UDP_PEERS, g->udp_peers_per_slot);
    if (place < 0)
        return 0;
    fresh.ring_position = PS_RING_PLACE(place);
    ring__make_room(&udp_peers, s, place, __builtin_offsetof(struct ps_udp_peer, ring_position), s->slot,
                    PS_R_UDP_PEER_EVICTED);
    bpf_map_update_elem(&udp_peers, &s->peer_key, &fresh, BPF_ANY);
    return 0;
}
