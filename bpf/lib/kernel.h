/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel knows of a packet and its context does not show, found by CO-RE in the running kernel's own layout.
 * Only read, by bpf_probe_read_kernel, which is 30 ns each and which every kernel gives but one locked down for
 * confidentiality.
 */
#pragma once

#include "lib/packet.h"
#include <bpf/bpf_core_read.h>

struct net {
    __u64 net_cookie;
} __attribute__((preserve_access_index));
struct net_device {
    unsigned int mtu;
    struct {
        struct net *net;
    } nd_net;
} __attribute__((preserve_access_index));
struct sock {
    __u8 sk_kern_sock : 1;
} __attribute__((preserve_access_index));
struct sk_buff {
    struct sock *sk;
    struct net_device *dev;
    unsigned char *head;
    unsigned int end; /* of 64-bit kernels: an offset from head */
} __attribute__((preserve_access_index));
struct skb_shared_info {
    __u8 flags;
} __attribute__((preserve_access_index));

extern int LINUX_KERNEL_VERSION __kconfig;
#define KERNEL_GIVES_NETNS                                                                                   \
    0x060f00 /* 6.15: bpf_get_netns_cookie in cgroup_skb; before, the verifier never sees the call */

/*
 * The network namespace the packet is in, as 32 bits of its cookie: cookies count up and are never used again. A container
 * may make namespaces of its own, where it is the resolver and everybody else: what is learned there holds there.
 */
PS_GLOBAL __u32 kernel__netns(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;

    if (LINUX_KERNEL_VERSION >= KERNEL_GIVES_NETNS)
        return (__u32)bpf_get_netns_cookie(skb);
    return (__u32)BPF_CORE_READ(kernel, dev, nd_net.net, net_cookie);
}

/*
 * Is its socket the kernel's own? Those by which it speaks for itself (neighbour discovery, multicast membership, resets) are
 * raw, and of the cgroup in which the network namespace was made: a container's, when its runtime joins before it unshares.
 */
PS_GLOBAL int kernel__owns_socket(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;
    struct sock *sk = BPF_CORE_READ(kernel, sk);

    return sk && BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock);
}

/* packet__fragments of a datagram as it leaves by its device. */
PS_GLOBAL __u64 kernel__fragments(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;

    __u32 mtu = BPF_CORE_READ(kernel, dev, mtu);

    return packet__fragments(skb->len, mtu, skb->protocol == bpf_htons(0x0800));
}

/*
 * May the sender still change the payload? Its own pages are, by sendfile, splice or MSG_ZEROCOPY: they are marked
 * SKBFL_ZEROCOPY_ENABLE, SKBFL_SHARED_FRAG, SKBFL_PURE_ZEROCOPY or SKBFL_MANAGED_FRAG_REFS.
 */
PS_GLOBAL int kernel__shares_pages(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;
    struct skb_shared_info *shared =
        (struct skb_shared_info *)(BPF_CORE_READ(kernel, head) + BPF_CORE_READ(kernel, end));

    return BPF_CORE_READ(shared, flags) != 0;
}
