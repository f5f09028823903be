/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters per container, rule, direction, verdict and reason. Counting never changes a verdict; what can't be
 * counted is counted as lost.
 */
#pragma once

#include "lib/identity.h"

static __always_inline void account__add(__u32 slot, __u64 rule, __u8 direction, __u8 verdict, __u8 reason,
                                         __u64 packets, __u64 bytes) {
    struct ps_counter_key key = {
        .rule = rule, .slot = slot, .direction = direction, .verdict = verdict, .reason = reason};
    struct ps_counter *counter = bpf_map_lookup_elem(&counters, &key);

    if (!counter) {
        struct ps_counter zero = {};

        bpf_map_update_elem(&counters, &key, &zero, BPF_NOEXIST); /* may lose to another CPU: look again */
        counter = bpf_map_lookup_elem(&counters, &key);
    }
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

/* Something noticed that decided no packet: PS_R_LEARNED_NEW and on. A function of its own: callers are many. */
PS_GLOBAL int account__note(__u32 slot, __u32 reason) {
    account__add(slot, 0, PS_INGRESS, PS_NONE, (__u8)reason, 1, 0);
    return 0;
}
