/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who opened a UDP conversation: a peer that wrote to us first may be answered for PS_UDP_REPLY_S after its last
 * packet; a peer that only answers us gains nothing by it, so that a change of policy cuts our own flows at once.
 */
#pragma once

#include "lib/learn.h"

static __always_inline void reply__key(struct ps_udp_peer_key *key, const struct flow *f, __u32 slot) {
    __builtin_memcpy(key->peer, f->remote.octets, 16);
    key->slot = slot;
    key->local_port = f->local_port;
    key->peer_port = f->remote_port;
}

static __always_inline int reply__is_live(const struct ps_udp_peer *peer) {
    return peer && bpf_ktime_get_ns() - peer->last_ns < PS_UDP_REPLY_S * PS_NS_PER_S;
}

/* The learned name under which our own conversation is open: it goes on when the address expires. */
static __always_inline __u64 reply__open_name(const struct ps_udp_peer *peer) {
    return reply__is_live(peer) && peer->opened_by_us ? peer->name_hash : 0;
}

/* Notes that `ours` (1) or the peer (0) opened the conversation, or speaks again in it. */
static __always_inline void reply__touch(const struct ps_udp_peer_key *key, struct ps_udp_peer *peer,
                                         __u32 ours, __u64 name_hash, __u32 index, __u32 slot) {
    const struct ps_gate *g = identity__gate();
    struct scratch *s = scratch__at(index);
    struct ps_udp_peer fresh = {.last_ns = bpf_ktime_get_ns(), .name_hash = name_hash, .opened_by_us = ours};
    const struct ps_udp_peer *old;
    __s32 place;

    if (peer) {
        peer->opened_by_us = ours;
        peer->name_hash = name_hash;
        *(volatile __u64 *)&peer->last_ns = fresh.last_ns;
        return;
    }
    if (!s || !g)
        return;
    __builtin_memset(&s->ring, 0, sizeof(s->ring));
    __builtin_memcpy(s->ring.key, key, sizeof(*key));
    place = ring__push(index, slot, PS_RING_UDP_PEERS, g->udp_peers_per_slot);
    if (place < 0)
        return;
    fresh.ring_position = PS_RING_PLACE(place);
    if (place & PS_RING_EVICTS) {
        old = bpf_map_lookup_elem(&udp_peers, s->ring.key);
        if (old && old->ring_position == fresh.ring_position && !bpf_map_delete_elem(&udp_peers, s->ring.key))
            account__note(slot, PS_R_UDP_PEER_EVICTED);
    }
    bpf_map_update_elem(&udp_peers, key, &fresh, BPF_ANY);
}
