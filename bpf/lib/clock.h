/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Clocks as this CPU read them in this tick of the kernel's timer (1 to 10 ms, more where the tick itself is late), for what
 * may be that late. A look at a real one costs as much as all else that a packet of an open flow needs; the number of the
 * tick is a load.
 */
#pragma once

#include "lib/maps.h"

static __always_inline const struct tick_clock *clock__ticked(void) {
    __u32 zero = 0;
    struct tick_clock *c = bpf_map_lookup_elem(&tick_clocks, &zero);
    __u64 tick = bpf_jiffies64();

    if (c && *(volatile __u64 *)&c->tick != tick) {
        *(volatile __u64 *)&c->monotonic_ns = bpf_ktime_get_ns();
        *(volatile __u64 *)&c->boot_ns = bpf_ktime_get_boot_ns();
        *(volatile __u64 *)&c->tick =
            tick; /* after them: a run that interrupts this one reads them for itself */
    }
    return c;
}

/* CLOCK_MONOTONIC */
static __always_inline __u64 clock__late_monotonic_ns(void) {
    const struct tick_clock *c = clock__ticked();

    return c ? *(volatile const __u64 *)&c->monotonic_ns : 0; /* the map has that element */
}

/* CLOCK_BOOTTIME */
static __always_inline __u64 clock__late_boot_ns(void) {
    const struct tick_clock *c = clock__ticked();

    return c ? *(volatile const __u64 *)&c->boot_ns : 0;
}

/* Was that no longer ago? It may have been read later, by another CPU in this tick. */
static __always_inline int clock__is_within(__u64 then_ns, __u64 length_ns) {
    return (__s64)(clock__late_monotonic_ns() - then_ns) <= (__s64)length_ns;
}
