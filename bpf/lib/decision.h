/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a run has decided so far, and how it passes a global function, which gives scalars only. */
#pragma once

#include "lib/scratch.h"

struct decision {
    __u64 rule;
    __u64 name_hash; /* the learned name that allowed it */
    __u32 scratch;   /* claimed by the caller */
    __u8 verdict;
    __u8 reason;
    __u8 has_name; /* the scratch holds the name asked for: put it into the event */
    __u8 may_cache;
    __u8 opens; /* a UDP conversation that was not there before */
};

/* A decision in one word, as the global functions give it; its rule and name are in the scratch's `best`. */
static __always_inline __u32 decision__pack(const struct decision *d) {
    struct scratch *s = scratch__at(d->scratch);

    if (s) {
        s->best.rule = d->rule;
        s->best.name_hash = d->name_hash;
    }
    return (__u32)d->verdict | (__u32)d->reason << 8 | (__u32)(d->has_name & 1) << 16 |
           (__u32)(d->may_cache & 1) << 17 | (__u32)(d->opens & 1) << 18;
}

static __always_inline void decision__unpack(struct decision *d, __u32 packed) {
    const struct scratch *s = scratch__at(d->scratch);

    d->verdict = (__u8)packed;
    d->reason = (__u8)(packed >> 8);
    d->has_name = packed >> 16 & 1;
    d->may_cache = packed >> 17 & 1;
    d->opens = packed >> 18 & 1;
    d->rule = s ? s->best.rule : 0;
    d->name_hash = s ? s->best.name_hash : 0;
}

static __always_inline int decision__set(struct decision *d, __u8 verdict, __u8 reason, __u64 rule) {
    d->verdict = verdict;
    d->reason = reason;
    d->rule = rule;
    return 1;
}
#define decision__allow(d, reason, rule) decision__set(d, PS_ALLOW, reason, rule)
#define decision__deny(d, reason, rule) decision__set(d, PS_DENY, reason, rule)
