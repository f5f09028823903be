/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every packet that arrives at a socket of the gate root's containers: DNS answers teach, `inbound` decides, UDP
 * peers gain the right to be answered. It runs before the application can read the packet, so what an answer
 * taught is in force before the answer is known.
 */
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define INGRESS_DROP 0
#define INGRESS_PASS 1

static __always_inline int ingress__is_answer(const struct flow *f) {
    return f->remote_port == PS_PORT_DNS && f->payload_length &&
           (f->protocol == PS_PROTO_UDP || f->protocol == PS_PROTO_TCP);
}

/*
 * What the packet teaches, as a reason: a datagram is a message; a TCP segment is read as whole messages and ends at the
 * first that is not. Global, so that the ways out of the loop are not times what follows.
 */
PS_GLOBAL int ingress__learn(struct __sk_buff *skb, __u32 index) {
    const struct scratch *s = scratch__at(index);
    int reason = PS_R_ANSWER_TRUNCATED;
    __u32 at, left, length;
    __u8 prefix[2];

    if (!s)
        return PS_R_SCRATCH;
    if (s->flow.over_lo && !address__is_loopback(&s->flow.remote))
        return PS_R_ANSWER_LOOPBACK;
    at = s->flow.payload_offset;
    left = s->flow.payload_length;
    if (s->flow.protocol == PS_PROTO_UDP)
        return learn__message(skb, index, at, left);
    for (int i = 0; i < PS_DNS_MESSAGES; i++) {
        if (left < 2 || cursor__load(skb, at, prefix, 2))
            break;
        length = cursor__be16(prefix);
        if (length > left - 2)
            return PS_R_ANSWER_TRUNCATED;
        reason = learn__message(skb, index, at + 2, length);
        at += 2 + length;
        left -= 2 + length;
    }
    return reason;
}

/* A resolver's answer that teaches nothing (NXDOMAIN) or not all (truncated) is still an answer to us. */
static __always_inline int ingress__answers(int noticed) {
    return noticed == PS_R_DNS_ANSWER || noticed == PS_R_ANSWER_FAILED || noticed == PS_R_ANSWER_TRUNCATED ||
           noticed == PS_R_ANSWER_LATE;
}

static __always_inline void ingress__judge(struct decision *d, struct __sk_buff *skb, const struct flow *f,
                                           const struct identity *me) {
    struct scratch *s;
    int noticed;

    if (ingress__is_answer(f)) {
        noticed = ingress__learn(skb, d->scratch);
        if (noticed != PS_R_DNS_ANSWER)
            account__note(me->slot, noticed);
        s = scratch__at(d->scratch);
        if (s && ingress__answers(noticed)) {
            decision__allow(d, PS_R_DNS_ANSWER, 0);
            d->name_hash = noticed == PS_R_DNS_ANSWER ? s->query.name_hash : 0;
            s->best.rule = 0;
            return;
        }
    }
    known__recall(skb, d->scratch, me->serial);
    decision__unpack(d, verdict__ingress(d->scratch));
}

/* What can't be read can't be an answer; nobody asked us for it, so `inbound` decides. */
static __always_inline void ingress__unreadable(struct decision *d, const struct identity *me) {
    if (me->policy->inbound == PS_ALLOW)
        decision__allow(d, PS_R_INBOUND, 0);
    else
        decision__deny(d, PS_R_INBOUND_DENIED, 0);
}

SEC("cgroup_skb/ingress")
int ps_ingress(struct __sk_buff *skb) {
    struct flow f = {
        .direction = PS_INGRESS, .hook = PS_HOOK_INGRESS, .over_lo = skb->ifindex == PS_IFINDEX_LO};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};
    __u8 reason;

    if (known__ingress(skb) || !identity__of_packet(&me, skb))
        return INGRESS_PASS; /* known, or not ours */
    f.netns = kernel__netns(skb);
    reason = packet__read(skb, &f);
    if (verdict__begin(&d, &f, &me)) {
        if (reason)
            ingress__unreadable(&d, &me);
        else
            ingress__judge(&d, skb, &f, &me);
        verdict__settle_limits(&d, 0);
    }
    return verdict__settle(&d, &f, &me) ? INGRESS_PASS : INGRESS_DROP;
}
