/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counter rows of names that make room for others. Attached nowhere: the daemon runs these two, one after the other and at
 * least a second apart, with what they need as the octets of a packet. Each does its work whole, whenever the daemon dies;
 * no packet is lost or counted twice, as the sums stand in one row or the other and move when nobody adds to them any more.
 */
#include "lib/account.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define RETIRE_CPUS 1024

/* The row goes under a name that no packet looks for, and sockets forget their places in the container's rows. 1: done. */
SEC("tc")
int ps_retire(struct __sk_buff *skb) {
    struct ps_retire asked = {};
    struct ps_counter_key to;
    struct ps_slot *slot;
    struct ps_heads *h;
    const __u32 *found;
    __u32 cell;

    if (bpf_skb_load_bytes(skb, 0, &asked, sizeof(asked)) || asked.number >= PS_NAMES_RETIRING)
        return 0;
    to = asked.key;
    to.name_hash = PS_NAME_RETIRING + asked.number;
    found = bpf_map_lookup_elem(&counters, &asked.key);
    slot = bpf_map_lookup_elem(&slots, &asked.key.slot);
    h = bpf_map_lookup_elem(&heads, &asked.key.slot);
    if (!found || !slot || !h)
        return 0;
    cell = *found;
    if (bpf_map_update_elem(&counters, &to, &cell, BPF_NOEXIST))
        return 0;
    bpf_map_delete_elem(&counters, &asked.key);
    __sync_fetch_and_add(&slot->recount, 1);
    __sync_fetch_and_add(&h->head[PS_HEAD_NAME_ROWS], -1);
    return 1;
}

/* What the row counted is of PS_NAME_OTHER from now on, and its cell is free. 1: done. */
SEC("tc")
int ps_fold(struct __sk_buff *skb) {
    struct ps_counter_key key = {};
    __u64 packets = 0, bytes = 0;
    const __u32 *found;
    __u32 cell, other;

    if (bpf_skb_load_bytes(skb, 0, &key, sizeof(key)))
        return 0;
    found = bpf_map_lookup_elem(&counters, &key);
    other = account__cell(key.slot, key.rule, PS_NAME_OTHER, ACCOUNT_ROW(key.direction, key.verdict, key.reason));
    if (!found || !other)
        return 0;
    cell = *found;
    for (__u32 cpu = 0; cpu < RETIRE_CPUS; cpu++) {
        struct ps_counter *counter = bpf_map_lookup_percpu_elem(&cells, &cell, cpu);

        if (!counter)
            break;
        packets += counter->packets;
        bytes += counter->bytes;
        counter->packets = 0;
        counter->bytes = 0;
    }
    account__count(other, packets, bytes);
    bpf_map_delete_elem(&counters, &key);
    bpf_map_push_elem(&free_cells, &cell, 0);
    return 1;
}
