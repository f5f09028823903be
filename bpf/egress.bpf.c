/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every packet that leaves a socket of the gate root's containers. This hook is the authority: it knows the
 * socket's own cgroup, and sees what no other hook does (raw, spliced, fast-open, mapped, fragmented).
 */
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define EGRESS_DROP 0 /* the sender gets EPERM */
#define EGRESS_PASS 1

/* What the packet's TCP socket remembers; null for all others. `full` is the socket to remember it with. */
static __always_inline struct ps_socket *egress__memory(struct __sk_buff *skb, struct bpf_sock **full)
{
    struct bpf_sock *sk = skb->sk;

    *full = 0;
    if (!sk || sk->protocol != PS_PROTO_TCP)
        return 0;
    sk = bpf_sk_fullsock(sk);
    if (!sk)
        return 0;
    *full = sk;
    return bpf_sk_storage_get(&sockets, sk, 0, 0);
}

static __always_inline void egress__remember(struct bpf_sock *sk, const struct decision *d, const struct identity *me)
{
    struct ps_socket *cache;

    if (!sk || !d->may_cache || d->verdict != PS_ALLOW)
        return;
    cache = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!cache)
        return;                   /* no memory: judged again next time */
    cache->binding = 0;           /* not valid while it changes */
    cache->rule = d->rule;
    cache->name_hash = d->name_hash;
    cache->slot = me->slot;
    cache->serial = me->serial;
    cache->verdict = d->verdict;
    cache->reason = d->reason;
    *(volatile __u64 *)&cache->binding = me->binding;
}

/* The verdict after the mode; the caller holds no scratch. */
static __always_inline int egress__finish(struct decision *d, const struct flow *f, const struct identity *me)
{
    verdict__apply_mode(d, me);
    account__add(me->slot, d->rule, PS_EGRESS, d->verdict, d->reason, 1, f->length);
    if (d->verdict != PS_ALLOW)
        event__denied(me, f, d->rule, d->verdict, d->reason, d->has_name ? d->scratch : PS_SCRATCH_NONE);
    return d->verdict == PS_DENY ? EGRESS_DROP : EGRESS_PASS;
}

SEC("cgroup_skb/egress")
int ps_egress(struct __sk_buff *skb)
{
    struct flow f = {.direction = PS_EGRESS, .hook = PS_HOOK_EGRESS};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};
    struct bpf_sock *sk;
    struct ps_socket *cache = egress__memory(skb, &sk);
    struct ps_gate *g;
    __u8 reason;
    int pass;

    if (!(cache && cache->serial && identity__of_slot(&me, cache->slot) && me.serial == cache->serial) &&
        !identity__of_packet(&me, skb))
        return EGRESS_PASS;       /* not ours */
    reason = packet__read(skb, &f);
    if (reason) {
        verdict__deny(&d, reason, 0);
        return egress__finish(&d, &f, &me);
    }
    if (verdict__cached(&d, &me, cache))
        return egress__finish(&d, &f, &me);
    d.scratch = scratch__claim();
    if (d.scratch == PS_SCRATCH_NONE) {
        g = identity__gate();
        if (g)
            __sync_fetch_and_add(&g->scratch_lost, 1);
        verdict__deny(&d, PS_R_SCRATCH, 0);
        return egress__finish(&d, &f, &me);
    }
    verdict__egress(&d, skb, &f, &me, cache);
    egress__remember(sk, &d, &me);
    pass = egress__finish(&d, &f, &me);
    scratch__release(d.scratch);
    return pass;
}
