/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every packet that leaves a socket of the gate root's containers. This hook is the authority: it knows the
 * socket's own cgroup, and sees what no other hook does (raw, spliced, fast-open, mapped, fragmented).
 */
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define EGRESS_DROP 0 /* the sender gets EPERM */
#define EGRESS_PASS 1
#define EGRESS_CONGESTED                                                                                     \
    2 /* dropped; TCP slows down, and UDP's sender is told nothing it did not ask for (IP_RECVERR) */

/* Over a rate: the sender shall slow down. Everything else is an error at once. */
static __always_inline int egress__refusal(const struct decision *d) {
    return d->reason == PS_R_EGRESS_RATE || d->reason == PS_R_PACKET_RATE ? EGRESS_CONGESTED : EGRESS_DROP;
}

/*
 * Is it of a raw socket that was made before enforcement, or elsewhere? Its headers are whatever it says. If the socket
 * remembers a container, `me` is that: no walk.
 */
static __always_inline int egress__is_raw(struct __sk_buff *skb, struct identity *me) {
    struct bpf_sock *sk = skb->sk;
    const struct ps_socket *m;

    sk = sk ? bpf_sk_fullsock(sk) : 0;
    if (!sk)
        return 0;
    if (!known__may_remember(sk))
        return sk->type == KNOWN_SOCK_RAW;
    m = bpf_sk_storage_get(&sockets, sk, 0, 0);
    if (m && !identity__remembered(me, m->slot, m->serial))
        me->policy = 0;
    return 0;
}

static __always_inline void egress__decide(struct decision *d, struct __sk_buff *skb, const struct flow *f,
                                           const struct identity *me) {
    known__recall(skb, d->scratch, me->serial);
    decision__unpack(d, verdict__egress(d->scratch));
    if (d->verdict == PS_NONE)
        gate__query(d, skb, f);
    verdict__settle_limits(d, d->opens);
    if (d->may_cache && d->verdict == PS_ALLOW && me->policy->mode != PS_MODE_OPEN)
        known__remember(skb, d->scratch, d->reason);
}

/* A datagram that is too long for its path leaves in pieces; TCP's segments are not. 0, or why it does not leave. */
static __always_inline __u8 egress__count_fragments(struct __sk_buff *skb, struct flow *f) {
    __u64 cut;

    if (f->protocol == PS_PROTO_TCP)
        return 0;
    cut = kernel__fragments(skb, f->l4_offset);
    if (!(cut >> 32))
        return (__u8)cut;
    if (!skb->gso_size) {
        f->length = (__u32)cut;
        f->packets = (__u32)(cut >> 32);
    }
    return 0;
}

static __always_inline int egress__judge(struct __sk_buff *skb) {
    struct flow f = {
        .direction = PS_EGRESS, .hook = PS_HOOK_EGRESS, .over_lo = skb->ifindex == PS_IFINDEX_LO};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};
    int raw = egress__is_raw(skb, &me);
    __u8 reason;

    if (raw && kernel__owns_socket(skb))
        return EGRESS_PASS; /* as where the namespace was made elsewhere: docs/threat-model.md */
    if (!me.policy && !identity__of_packet(&me, skb))
        return EGRESS_PASS; /* not ours */
    f.netns = kernel__netns(skb);
    reason = packet__read(skb, &f);
    if (raw)
        reason = PS_R_RAW_SOCKET;
    if (!reason)
        reason = egress__count_fragments(skb, &f);
    if (verdict__begin(&d, &f, &me)) {
        if (reason)
            decision__deny(&d, reason, 0);
        else
            egress__decide(&d, skb, &f, &me);
    }
    return verdict__settle(&d, &f, &me) ? EGRESS_PASS : egress__refusal(&d);
}

SEC("cgroup_skb/egress")
int ps_egress(struct __sk_buff *skb) {
    return known__egress(skb) ? EGRESS_PASS : egress__judge(skb);
}
