/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets as such: no raw ones are made; accepted ones are marked, so that what others open may be answered. */
#include "lib/pace.h"
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define SOCK_REFUSE 0
#define SOCK_PASS 1
#define PS_SOCK_RAW 3
#define PS_IPPROTO_SMC 256 /* shared memory over RDMA: never an IP packet */

SEC("cgroup/sock_create")
int ps_sock_create(struct bpf_sock *ctx) {
    struct flow f = {.direction = PS_EGRESS, .hook = PS_HOOK_SOCK_CREATE};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};

    if ((ctx->type != PS_SOCK_RAW && ctx->protocol != PS_IPPROTO_SMC) || !identity__of_task(&me))
        return SOCK_PASS;
    f.protocol = (__u8)ctx->protocol;
    if (verdict__begin_task(&d, &f, &me))
        decision__deny(&d, ctx->type == PS_SOCK_RAW ? PS_R_RAW_SOCKET : PS_R_SOCKET_FAMILY, 0);
    return verdict__settle(&d, &f, &me) ? SOCK_PASS : SOCK_REFUSE;
}

#define PS_AF_INET 2

/* The barriers keep clang from sinking both branches' loads into one off a moved context pointer. */
static __always_inline void sock__remote(struct bpf_sock_ops *ctx, union ps_address *remote) {
    __u32 word;

    if (ctx->family == PS_AF_INET) {
        word = ctx->remote_ip4;
        PS_BARRIER(word);
        address__from_v4(remote, bpf_ntohl(word));
        return;
    }
    word = ctx->remote_ip6[0];
    PS_BARRIER(word);
    remote->words[0] = word;
    word = ctx->remote_ip6[1];
    PS_BARRIER(word);
    remote->words[1] = word;
    word = ctx->remote_ip6[2];
    PS_BARRIER(word);
    remote->words[2] = word;
    word = ctx->remote_ip6[3];
    PS_BARRIER(word);
    remote->words[3] = word;
}

/* Once a round trip: the pace, as long as some limit asks for one. */
static __always_inline void sock__pace(struct bpf_sock_ops *ctx) {
    struct ps_socket *memory = ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, 0) : 0;
    __u64 pace;
    __u32 value;

    if (memory && memory->accepted && !memory->flow)
        return; /* nothing was sent yet: it is not known whose it is */
    if (!memory || !(memory->container || memory->by_rule)) {
        bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTT_CB_FLAG);
        return;
    }
    pace = pace__of(memory);
    value = pace < PACE_UNLIMITED ? (__u32)pace : (__u32)PACE_UNLIMITED;
    bpf_setsockopt(ctx, PACE_SOL_SOCKET, PACE_SO_MAX_PACING_RATE, &value, sizeof(value));
}

SEC("sockops")
int ps_sock_ops(struct bpf_sock_ops *ctx) {
    const struct ps_gate *g = identity__gate();
    struct ps_socket *memory;
    union ps_address remote;

    if (!g || !g->level_mask)
        return 1;
    if (ctx->op == BPF_SOCK_OPS_RTT_CB) {
        sock__pace(ctx);
        return 1;
    }
    if (g->next_budget &&
        (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)) {
        bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG);
        if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
            sock__pace(ctx);
    }
    if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !ctx->sk)
        return 1;
    memory = bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!memory)
        return 1; /* its packets are judged as if we had opened it */
    sock__remote(ctx, &remote);
    __builtin_memcpy(memory->remote, remote.octets, 16);
    memory->remote_port = (__u16)bpf_ntohl(ctx->remote_port);
    memory->accepted = 1;
    return 1;
}

/*
 * Options that let a socket take an address that is not its host's: with such a source a container could write to
 * itself over lo as anybody, and answers would go astray. Docker grants what IP_TRANSPARENT needs, IPV6_FREEBIND
 * needs nothing.
 */
static __always_inline int sock__lends_an_address(int level, int name) {
    if (level == 0) /* SOL_IP: IP_FREEBIND, IP_TRANSPARENT */
        return name == 15 || name == 19;
    if (level == 41) /* SOL_IPV6: IPV6_TRANSPARENT, IPV6_FREEBIND */
        return name == 75 || name == 78;
    return 0;
}

SEC("cgroup/setsockopt")
int ps_setsockopt(struct bpf_sockopt *ctx) {
    struct flow f = {.direction = PS_EGRESS, .hook = PS_HOOK_SOCKOPT};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};
    int lends = sock__lends_an_address(ctx->level, ctx->optname);

    ctx->optlen = 0; /* the caller's own buffer, whatever its size: over a page the kernel would refuse it */
    if (!lends || !identity__of_task(&me))
        return SOCK_PASS;
    if (verdict__begin_task(&d, &f, &me))
        decision__deny(&d, PS_R_SOURCE_ADDRESS, 0);
    return verdict__settle(&d, &f, &me) ? SOCK_PASS : SOCK_REFUSE;
}
