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

#define SOCK_FOLLOW (BPF_SOCK_OPS_RTT_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG)

/*
 * Once a round trip, as a limit may come, change and go while the connection is open, and its container be selected by a
 * policy; and when it ends.
 */
static __always_inline void sock__follow(struct bpf_sock_ops *ctx) {
    if ((ctx->bpf_sock_ops_cb_flags & SOCK_FOLLOW) != SOCK_FOLLOW)
        bpf_sock_ops_cb_flags_set(ctx, (int)ctx->bpf_sock_ops_cb_flags | SOCK_FOLLOW);
}

static __always_inline void sock__pace(struct bpf_sock_ops *ctx) {
    struct ps_socket *memory = ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, 0) : 0;
    __u64 pace;

    if (!memory)
        return; /* not ours, or of a container that is held to nothing yet */
    if (memory->accepted && !memory->flow)
        return; /* no gate has let it send: of nobody's, or of a container that no policy holds yet */
    pace = pace__of(ctx, memory);
    if (memory->pace || memory->bound || pace < PACE_UNLIMITED)
        pace__set(ctx, memory, pace);
}

/* The child of a listener, before anything of it was sent: it is not known yet whose it is. */
static __always_inline void sock__accepted(struct bpf_sock_ops *ctx) {
    struct ps_socket *memory =
        ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
    union ps_address remote;

    if (!memory)
        return; /* its packets are judged as if we had opened it */
    sock__remote(ctx, &remote);
    __builtin_memcpy(memory->remote, remote.octets, 16);
    memory->remote_port = (__u16)bpf_ntohl(ctx->remote_port);
    memory->accepted = 1;
}

/* All that it had to send has arrived, or never will. */
static __always_inline void sock__ended(struct bpf_sock_ops *ctx) {
    struct ps_socket *memory;

    if (ctx->args[1] != BPF_TCP_FIN_WAIT2 && ctx->args[1] != BPF_TCP_TIME_WAIT &&
        ctx->args[1] != BPF_TCP_CLOSE)
        return;
    memory = ctx->sk ? bpf_sk_storage_get(&sockets, ctx->sk, 0, 0) : 0;
    if (memory)
        pace__leave(memory);
}

SEC("sockops")
int ps_sock_ops(struct bpf_sock_ops *ctx) {
    const struct ps_gate *g = identity__gate();

    if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
        sock__follow(ctx); /* also before the first container has a row: it may be this connection's */
    if (!g || !g->level_mask)
        return 1; /* no container has a row yet */
    switch (ctx->op) {
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
        sock__accepted(ctx);
        break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
    case BPF_SOCK_OPS_RTT_CB:
        sock__pace(ctx);
        break;
    case BPF_SOCK_OPS_STATE_CB:
        sock__ended(ctx);
        break;
    }
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
