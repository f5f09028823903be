/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every packet that leaves a socket of the gate root's containers. This hook is the authority: it knows the
 * socket's own cgroup, and sees what no other hook does (raw, spliced, fast-open, mapped, fragmented).
 */
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define EGRESS_DROP 0 /* the sender gets EPERM */
#define EGRESS_PASS 1

/*
 * What the packet's socket remembers; null for those that can't. `full` is the socket to remember it with. A raw socket
 * that was made before enforcement, or elsewhere, is told by `raw`: its headers are whatever it says.
 */
static __always_inline struct ps_socket *egress__memory(struct __sk_buff *skb, struct bpf_sock **full,
                                                        int *raw) {
    struct bpf_sock *sk = skb->sk;

    *full = 0;
    *raw = 0;
    sk = sk ? bpf_sk_fullsock(sk) : 0;
    if (!sk)
        return 0;
    *raw = sk->type == KNOWN_SOCK_RAW;
    if (!known__may_remember(sk))
        return 0;
    *full = sk;
    return bpf_sk_storage_get(&sockets, sk, 0, 0);
}

static __always_inline int egress__judge(struct __sk_buff *skb) {
    struct flow f = {
        .direction = PS_EGRESS, .hook = PS_HOOK_EGRESS, .over_lo = skb->ifindex == PS_IFINDEX_LO};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};
    struct bpf_sock *sk;
    int same_flow, raw;
    struct ps_socket *memory = egress__memory(skb, &sk, &raw);
    __u64 open_name = 0;
    __u8 reason;

    if (!(memory && identity__remembered(&me, memory->slot, memory->serial)) &&
        !identity__of_packet(&me, skb))
        return EGRESS_PASS; /* not ours */
    reason = packet__read(skb, &f);
    if (raw)
        reason = PS_R_RAW_SOCKET;
    same_flow = !reason && verdict__remembers(memory, &f);
    if (verdict__begin(&d, &f, &me)) {
        if (same_flow && memory->serial == me.serial)
            open_name = memory->name_hash;
        if (reason)
            decision__deny(&d, reason, 0);
        else
            decision__unpack(&d, verdict__egress(d.scratch, open_name, same_flow && memory->accepted));
        if (d.verdict == PS_NONE)
            gate__query(&d, skb, &f);
        if (sk && d.may_cache && d.verdict == PS_ALLOW && me.policy->mode != PS_MODE_OPEN)
            known__remember(sk, &f, &me, d.rule, d.name_hash, d.reason, same_flow);
    }
    return verdict__settle(&d, &f, &me) ? EGRESS_PASS : EGRESS_DROP;
}

SEC("cgroup_skb/egress")
int ps_egress(struct __sk_buff *skb) {
    return known__egress(skb) ? EGRESS_PASS : egress__judge(skb);
}
