/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters per container, rule, learned name, direction, verdict and reason. Counting never changes a verdict; what can't be
 * counted is counted as lost.
 */
#pragma once

#include "lib/bucket.h"
#include "lib/identity.h"

#define ACCOUNT_ROW(direction, verdict, reason)                                                              \
    ((__u32)(__u8)(direction) | (__u32)(__u8)(verdict) << 8 | (__u32)(__u8)(reason) << 16)

/*
 * May the container have one more row of a name? Only so many, and not the last cells: a container that asks for ever
 * new names must not cost another its counters. What comes after is counted, too, as PS_NAME_OTHER, until the daemon has
 * retired names that are idle.
 */
static __always_inline int account__admits_name(__u32 slot) {
    struct ps_gate *g = identity__gate();
    struct ps_heads *h = bpf_map_lookup_elem(&heads, &slot);
    __u32 cell;

    if (!g || !h || (g->next_cell >= PS_CELLS / 4 * 3 && bpf_map_peek_elem(&free_cells, &cell)))
        return 0;
    if (__sync_fetch_and_add(&h->head[PS_HEAD_NAME_ROWS], 1) < g->name_rows_per_slot)
        return 1;
    __sync_fetch_and_add(&h->head[PS_HEAD_NAME_ROWS], -1);
    return 0;
}

/*
 * The cell plus 1 that a container's row of this rule, learned name, direction, verdict and reason (ACCOUNT_ROW) is
 * counted in; made when it is not there. 0 when all cells are taken.
 */
PS_GLOBAL __u32 account__cell(__u32 slot, __u64 rule, __u64 name_hash, __u32 row) {
    struct ps_counter_key key = {.rule = rule,
                                 .name_hash = name_hash,
                                 .slot = slot,
                                 .direction = (__u8)row,
                                 .verdict = (__u8)(row >> 8),
                                 .reason = (__u8)(row >> 16)};
    const __u32 *found = bpf_map_lookup_elem(&counters, &key);
    struct ps_gate *g = identity__gate();
    __u32 cell;

    if (found)
        return *found + 1;
    if (name_hash >= PS_NAME_FIRST_HASH && !account__admits_name(slot)) {
        key.name_hash = PS_NAME_OTHER;
        found = bpf_map_lookup_elem(&counters, &key);
        if (found)
            return *found + 1;
    }
    cell = g ? bucket__take_number(&free_cells, &g->next_cell, PS_CELLS) : PS_CELLS;
    if (cell >= PS_CELLS)
        return 0;
    if (!bpf_map_update_elem(&counters, &key, &cell, BPF_NOEXIST))
        return cell + 1;
    bpf_map_push_elem(&free_cells, &cell, 0); /* lost to another CPU, or no memory */
    found = bpf_map_lookup_elem(&counters, &key);
    return found ? *found + 1 : 0;
}

static __always_inline void account__count(__u32 cell, __u64 packets, __u64 bytes) {
    __u32 index = cell - 1;
    struct ps_counter *counter = cell ? bpf_map_lookup_elem(&cells, &index) : 0;

    if (counter) {
        /* Atomic although per CPU: a nested program on this CPU may stand between load and store. */
        __sync_fetch_and_add(&counter->packets, packets);
        __sync_fetch_and_add(&counter->bytes, bytes);
    } else {
        struct ps_gate *g = identity__gate();

        if (g)
            __sync_fetch_and_add(&g->counters_lost, packets);
    }
}

static __always_inline void account__add(__u32 slot, __u64 rule, __u64 name_hash, __u32 row, __u64 packets,
                                         __u64 bytes) {
    account__count(account__cell(slot, rule, name_hash, row), packets, bytes);
}

/* Something noticed that decided no packet: PS_R_LEARNED_NEW and on. */
PS_GLOBAL int account__note(__u32 slot, __u32 reason) {
    account__add(slot, 0, 0, ACCOUNT_ROW(PS_INGRESS, PS_NONE, reason), 1, 0);
    return 0;
}
