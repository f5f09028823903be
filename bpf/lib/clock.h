/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Clocks as somebody read them in this tick of the kernel's timer (1 to 10 ms), for what may be that late. A look at a real
 * one costs as much as all else that a packet of an open flow needs; the number of the tick is a load.
 */
#pragma once

#include "lib/maps.h"

/* The other CPUs may write while it is read, which at worst gives a time of some ticks ago. */
static __always_inline const struct tick_clock *clock__ticked(void) {
    __u32 zero = 0;
    struct tick_clock *c = bpf_map_lookup_elem(&tick_clock, &zero);
    __u64 tick = bpf_jiffies64();

    if (c && *(volatile __u64 *)&c->tick != tick) {
        *(volatile __u64 *)&c->monotonic_ns = bpf_ktime_get_ns();
        *(volatile __u64 *)&c->boot_ns = bpf_ktime_get_boot_ns();
        asm volatile("" ::: "memory");
        *(volatile __u64 *)&c->tick = tick;
    }
    return c;
}

/* CLOCK_MONOTONIC */
static __always_inline __u64 clock__monotonic(void) {
    const struct tick_clock *c = clock__ticked();

    return c ? *(volatile const __u64 *)&c->monotonic_ns : 0; /* the map has that element */
}

/* CLOCK_BOOTTIME */
static __always_inline __u64 clock__boot(void) {
    const struct tick_clock *c = clock__ticked();

    return c ? *(volatile const __u64 *)&c->boot_ns : 0;
}
