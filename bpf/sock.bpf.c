/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets as such: no raw ones are made; accepted ones are marked, so that what others open may be answered. */
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define SOCK_REFUSE 0
#define SOCK_PASS 1
#define PS_SOCK_RAW 3

SEC("cgroup/sock_create")
int ps_sock_create(struct bpf_sock *ctx)
{
    struct flow f = {.direction = PS_EGRESS, .hook = PS_HOOK_SOCK_CREATE};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};

    if (ctx->type != PS_SOCK_RAW || !identity__of_task(&me))
        return SOCK_PASS;
    f.protocol = (__u8)ctx->protocol;
    if (verdict__begin(&d, &f, &me))
        verdict__deny(&d, PS_R_RAW_SOCKET, 0);
    return verdict__settle(&d, &f, &me) ? SOCK_PASS : SOCK_REFUSE;
}

SEC("sockops")
int ps_sock_ops(struct bpf_sock_ops *ctx)
{
    const struct ps_gate *g = identity__gate();
    struct ps_socket *memory;

    if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !g || !g->level_mask || !ctx->sk)
        return 1;
    memory = bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (memory)
        memory->accepted = 1;     /* no memory: its packets are judged as if we had opened it */
    return 1;
}
