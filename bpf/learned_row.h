/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a container has learned and asked, and with whom it speaks: part of abi.h, and under its rules. */
#pragma once

#include "layout.h"
#include "policy_row.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

/*
 * What is learned holds in the network namespace it was learned in: `netns` is the low half of its cookie. In one of its
 * own making the container is whoever it likes.
 */
struct ps_address_key {
    __u8 address[16];
    __u32 slot;
    __u32 netns;
};
PS_ASSERT_SIZE(ps_address_key, 24);

enum ps_learned_sizes {
    PS_NAMES_PER_ADDRESS = 8
}; /* names of one container that may share one learned address */
struct ps_learned_name {
    __u64 name_hash; /* key into domains with the slot; 0 = free */
    __u64 expires_ns;
    __u64 rule_set;   /* of the generation below; 0 = the name is allowed no more */
    __u32 generation; /* not the binding's: judge the name again; 0 while it changes */
    __u32 flags;      /* PS_LEARNED_* */
};
PS_ASSERT_SIZE(ps_learned_name, 32);

/* Learned while nothing was enforced, from a resolver that could be the container itself: no enforcing policy takes it. */
enum ps_learned_flags { PS_LEARNED_UNPROVEN = 1 };

/* learned: HASH ps_address_key -> ps_learned. Entries are changed in place, field by field. */
struct ps_learned {
    struct ps_learned_name names[PS_NAMES_PER_ADDRESS];
    __u32 ring_position;
    __u32 is_private;
};
PS_ASSERT_SIZE(ps_learned, 264);

/* domains: HASH, the text of names that taught an address, as in ps_name_key. */
struct ps_domain_key {
    __u64 name_hash;
    __u32 slot;
    __u32 pad;
};
PS_ASSERT_SIZE(ps_domain_key, 16);
struct ps_domain {
    __u32 ring_position;
    __u16 pad;
    __u16 length;
    __u8 reversed[PS_NAME_MAX + 3];
};
PS_ASSERT_SIZE(ps_domain, 264);

struct ps_query_key {
    __u8 resolver[16];
    __u32 slot;
    __u16 local_port;
    __u16 id;
    __u8 protocol;
    __u8 pad[3];
    __u32 netns;
};
PS_ASSERT_SIZE(ps_query_key, 32);
struct ps_query {
    __u64 name_hash;
    __u64 sent_ns;
    __u64 rule_set;
    __u64 private_set;
    __u32 generation;
    __u32 min_ttl_s;
    __u32 ring_position;
    __u16 type;
    __u16 flags; /* PS_LEARNED_* of what the answer teaches */
};
PS_ASSERT_SIZE(ps_query, 48);

/* udp_peers: HASH, who opened a UDP conversation. */
struct ps_udp_peer_key {
    __u8 peer[16];
    __u32 slot;
    __u16 local_port;
    __u16 peer_port;
    __u32 netns;
};
PS_ASSERT_SIZE(ps_udp_peer_key, 28);
struct ps_udp_peer {
    __u64 last_ns;   /* last packet of the side that opened it */
    __u64 name_hash; /* ours: the learned name that allowed it; it outlives the name's expiry */
    __u64 rule;      /* ours: the rule that allowed it; answers are counted and charged by it, too */
    __u32 ring_position;
    __u32 opened_by_us; /* 1: answers of the peer give it no right to be answered */
};
PS_ASSERT_SIZE(ps_udp_peer, 32);

/* rings: HASH {map, slot, position} -> the key that stands there, so that a container's oldest goes first. */
enum ps_ring_kind { PS_RING_LEARNED = 1, PS_RING_QUERIES = 2, PS_RING_UDP_PEERS = 3, PS_RING_DOMAINS = 4 };
struct ps_ring_key {
    __u32 slot;
    __u32 position;
    __u32 kind;
};
PS_ASSERT_SIZE(ps_ring_key, 12);
struct ps_ring_entry {
    __u8 key[32];
};
PS_ASSERT_SIZE(ps_ring_entry, 32);
/* heads: ARRAY by slot, mmapable: how often each of the container's rings was written. */
struct ps_heads {
    __u32 head[8]; /* by ps_ring_kind, and ps_head: rows it has */
};
enum ps_head { PS_HEAD_NAME_ROWS = 0, PS_HEAD_FLOWS = 5 };
PS_ASSERT_SIZE(ps_heads, 32);

#ifdef __cplusplus
} // namespace penstock::abi
#endif
