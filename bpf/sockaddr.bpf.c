/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Early errors: connect() of TCP and sendmsg() of unconnected UDP fail in microseconds with EPERM instead of
 * hanging. These hooks see the address before NAT, but know only the calling task: they refuse what the rules
 * refuse and leave the rest to the egress hook. A UDP connect() sends nothing and is how resolvers sort addresses, so
 * it is not judged: the first send is. In audit and open mode the packet hook alone counts.
 */
#include "lib/verdict.h"
#include <bpf/bpf_endian.h>

char _license[] SEC("license") = "Dual BSD/GPL";

#define ATTEMPT_REFUSE 0
#define ATTEMPT_PASS 1
#define PS_SOCK_STREAM 1
#define PS_SOCK_DGRAM 2

/*
 * A denied question over TCP is dropped, sent again and dropped again; no error can tell the application. glibc's TCP has
 * no time-out of its own and would wait until the server hangs up (30 s and more). So the connection gives up by itself.
 */
static __always_inline void sockaddr__bound_dns(struct bpf_sock_addr *ctx) {
    int ms = PS_DNS_TCP_TIMEOUT_MS;

    bpf_setsockopt(ctx, 6 /* IPPROTO_TCP */, 18 /* TCP_USER_TIMEOUT */, &ms, sizeof(ms));
}

/* A connection over its rate, or when the quota is spent, is refused here; what is admitted is not charged again. */
static __always_inline void sockaddr__admit(struct bpf_sock_addr *ctx, struct decision *d,
                                            const struct flow *f) {
    const struct scratch *s;
    struct ps_socket *memory;

    if (address__is_loopback(&f->remote))
        return;
    verdict__settle_limits(d, 1);
    s = scratch__at(d->scratch);
    if (!s || (!s->container && !s->by_rule))
        return;
    if (d->verdict == PS_ALLOW && (limiter__is_spent(s->container) || limiter__is_spent(s->by_rule)))
        decision__deny(d, PS_R_QUOTA, d->rule);
    memory = d->verdict == PS_ALLOW && ctx->sk
                 ? bpf_sk_storage_get(&sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE)
                 : 0;
    if (memory)
        memory->admitted = 1;
}

static __always_inline int sockaddr__judge(struct bpf_sock_addr *ctx, struct flow *f, struct identity *me) {
    struct decision d = {.scratch = PS_SCRATCH_NONE};

    f->direction = PS_EGRESS;
    f->netns = (__u32)bpf_get_netns_cookie(ctx);
    if (verdict__begin_task(&d, f, me))
        decision__unpack(&d, verdict__attempt(d.scratch));
    if (f->hook == PS_HOOK_CONNECT && d.verdict == PS_ALLOW && me->policy->limited)
        sockaddr__admit(ctx, &d, f);
    if (d.verdict == PS_ALLOW) { /* nothing has left yet: the packet hook counts */
        scratch__release(d.scratch);
        if (f->hook == PS_HOOK_CONNECT && d.reason == PS_R_DNS_SESSION)
            sockaddr__bound_dns(ctx);
        return ATTEMPT_PASS;
    }
    return verdict__settle(&d, f, me) ? ATTEMPT_PASS : ATTEMPT_REFUSE;
}

static __always_inline int sockaddr__is_ours(struct identity *me) {
    return identity__of_task(me) && me->policy->mode != PS_MODE_AUDIT && me->policy->mode != PS_MODE_OPEN;
}

static __always_inline int sockaddr__v4(struct bpf_sock_addr *ctx, __u8 hook, __u8 protocol) {
    struct flow f = {.hook = hook, .protocol = protocol};
    struct identity me = {};

    if (!sockaddr__is_ours(&me))
        return ATTEMPT_PASS;
    address__from_v4(&f.remote, bpf_ntohl(ctx->user_ip4));
    f.remote_port = bpf_ntohs((__u16)ctx->user_port);
    if (ctx->sk)
        f.local_port = (__u16)ctx->sk->src_port;
    return sockaddr__judge(ctx, &f, &me);
}

static __always_inline int sockaddr__v6(struct bpf_sock_addr *ctx, __u8 hook, __u8 protocol) {
    struct flow f = {.hook = hook, .protocol = protocol};
    struct identity me = {};

    if (!sockaddr__is_ours(&me))
        return ATTEMPT_PASS;
    f.remote.words[0] = ctx->user_ip6[0];
    f.remote.words[1] = ctx->user_ip6[1];
    f.remote.words[2] = ctx->user_ip6[2];
    f.remote.words[3] = ctx->user_ip6[3];
    f.remote_port = bpf_ntohs((__u16)ctx->user_port);
    if (ctx->sk)
        f.local_port = (__u16)ctx->sk->src_port;
    return sockaddr__judge(ctx, &f, &me);
}

SEC("cgroup/connect4")
int ps_connect4(struct bpf_sock_addr *ctx) {
    return ctx->type == PS_SOCK_STREAM ? sockaddr__v4(ctx, PS_HOOK_CONNECT, PS_PROTO_TCP) : ATTEMPT_PASS;
}

SEC("cgroup/connect6")
int ps_connect6(struct bpf_sock_addr *ctx) {
    return ctx->type == PS_SOCK_STREAM ? sockaddr__v6(ctx, PS_HOOK_CONNECT, PS_PROTO_TCP) : ATTEMPT_PASS;
}

SEC("cgroup/sendmsg4")
int ps_sendmsg4(struct bpf_sock_addr *ctx) {
    return ctx->protocol == PS_PROTO_UDP ? sockaddr__v4(ctx, PS_HOOK_SENDMSG, PS_PROTO_UDP) : ATTEMPT_PASS;
}

SEC("cgroup/sendmsg6")
int ps_sendmsg6(struct bpf_sock_addr *ctx) {
    return ctx->protocol == PS_PROTO_UDP ? sockaddr__v6(ctx, PS_HOOK_SENDMSG, PS_PROTO_UDP) : ATTEMPT_PASS;
}
