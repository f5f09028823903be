/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bounds a container's learned state: a ring of keys per container and map. A new entry takes the next
 * place; the key that stood there is the container's oldest, and its owner deletes it. So a container that floods
 * a map evicts its own rows and nobody else's.
 */
#pragma once

#include "lib/account.h"
#include "lib/maps.h"
#include "lib/scratch.h"

#define PS_RING_FAILED (-1)

static __always_inline int ring__is_same(const struct ps_ring_entry *a, const struct ps_ring_entry *b) {
    const __u64 *x = (const __u64 *)a->key, *y = (const __u64 *)b->key;

    return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

/*
 * Puts the key in the scratch's `ring` into the ring's next place. Gives the place, or PS_RING_FAILED. With bit
 * PS_RING_EVICTS set, `evicted` holds the key that stood there.
 */
#define PS_RING_EVICTS 0x40000000
#define PS_RING_PLACE(position) ((__u32)(position)&0x3fffffff)

PS_GLOBAL __s32 ring__push(__u32 index, __u32 slot, __u32 kind, __u32 cap) {
    struct scratch *s = scratch__at(index);
    struct ps_heads *h = bpf_map_lookup_elem(&heads, &slot);
    struct ps_ring_key key = {.slot = slot, .kind = kind};
    struct ps_ring_entry *stands;
    __s32 evicts = 0;

    if (!s || !h || !cap)
        return PS_RING_FAILED;
    key.position = __sync_fetch_and_add(&h->head[kind & 7], 1) & (cap - 1) & 0x3fffffff;
    stands = bpf_map_lookup_elem(&rings, &key);
    if (stands) {
        s->evicted = *stands;
        evicts = ring__is_same(&s->evicted, &s->ring)
                     ? 0
                     : PS_RING_EVICTS; /* a key that returns to its own place stays */
    }
    if (bpf_map_update_elem(&rings, &key, &s->ring, BPF_ANY))
        return PS_RING_FAILED;
    return (__s32)key.position | evicts;
}

/*
 * Deletes the row that ring__push evicted, if it still stands at that place; `position` is the offset of ring_position
 * in the map's value. Notes `reason`.
 */
static __always_inline void ring__make_room(void *map, struct scratch *s, __s32 place, __u32 position,
                                            __u32 slot, __u32 reason) {
    const __u8 *old;

    if (!(place & PS_RING_EVICTS))
        return;
    old = bpf_map_lookup_elem(map, s->evicted.key);
    if (old && *(const __u32 *)(old + position) == PS_RING_PLACE(place) &&
        !bpf_map_delete_elem(map, s->evicted.key))
        account__note(slot, reason);
}

/* Is the entry at `place` in the older half of the container's ring? Then a refresh gives it a new place. */
static __always_inline int ring__is_ageing(__u32 slot, __u32 kind, __u32 place, __u32 cap) {
    const struct ps_heads *h = bpf_map_lookup_elem(&heads, &slot);

    return h && ((h->head[kind & 7] - 1 - place) & (cap - 1)) >= cap / 2;
}
