/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Programs that let everything pass, on the hooks of Penstock's: what being hooked costs whoever hooks, and the base of
 * every verdict's cost.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("cgroup_skb/egress")
int empty_egress(struct __sk_buff *skb) {
    (void)skb;
    return 1;
}

SEC("cgroup_skb/ingress")
int empty_ingress(struct __sk_buff *skb) {
    (void)skb;
    return 1;
}

SEC("cgroup/connect4")
int empty_connect4(struct bpf_sock_addr *ctx) {
    (void)ctx;
    return 1;
}

SEC("cgroup/connect6")
int empty_connect6(struct bpf_sock_addr *ctx) {
    (void)ctx;
    return 1;
}

SEC("cgroup/sendmsg4")
int empty_sendmsg4(struct bpf_sock_addr *ctx) {
    (void)ctx;
    return 1;
}

SEC("cgroup/sendmsg6")
int empty_sendmsg6(struct bpf_sock_addr *ctx) {
    (void)ctx;
    return 1;
}

SEC("cgroup/sock_create")
int empty_sock_create(struct bpf_sock *ctx) {
    (void)ctx;
    return 1;
}

SEC("sockops")
int empty_sockops(struct bpf_sock_ops *ctx) {
    (void)ctx;
    return 1;
}

SEC("cgroup/setsockopt")
int empty_setsockopt(struct bpf_sockopt *ctx) {
    ctx->optlen = 0; /* the caller's own buffer, whatever its size: over a page the kernel would refuse it */
    return 1;
}
