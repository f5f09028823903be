/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs take from without a lock: token buckets, and numbers that are free. */
#pragma once

#include "lib/maps.h"

/*
 * Takes what comes back in `cost` ns from a bucket that is full at `full` (GCRA, ITU-T I.371): 1, or 0 when it is not there,
 * or when others took from it `tries` times meanwhile.
 */
static __always_inline int bucket__take(__u64 *full, __u64 cost, __u64 burst_ns, __u64 now, int tries) {
    __u64 seen, start;

    for (int i = 0; i < tries; i++) {
        seen = *(volatile __u64 *)full;
        start = seen > now ? seen : now;
        if (start - now + cost > burst_ns)
            return 0;
        if (__sync_val_compare_and_swap(full, seen, start + cost) == seen)
            return 1;
    }
    return 0;
}

/* A number below `end`: one that was given back to the stack, else the next that nobody had. `end`: there is none. */
static __always_inline __u32 bucket__take_number(void *given_back, __u32 *next, __u32 end) {
    __u32 number;

    if (!bpf_map_pop_elem(given_back, &number))
        return number;
    return *next < end ? __sync_fetch_and_add(next, 1) : end;
}
