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
struct ipv6_devconf {
    __s32 mtu6;
} __attribute__((preserve_access_index));
struct inet6_dev {
    struct ipv6_devconf cnf;
} __attribute__((preserve_access_index));
struct dst_entry {
    unsigned long _metrics, expires;
} __attribute__((preserve_access_index));
struct rtable {
    __u32 rt_pmtu : 31;
} __attribute__((preserve_access_index));
struct ipv6_pinfo {
    __u32 frag_size;
} __attribute__((preserve_access_index));
struct inet_sock {
    struct ipv6_pinfo *pinet6;
} __attribute__((preserve_access_index));
struct net_device {
    unsigned int mtu;
    struct inet6_dev *ip6_ptr;
    struct {
        struct net *net;
    } nd_net;
} __attribute__((preserve_access_index));
struct sock {
    __u8 sk_kern_sock : 1;
} __attribute__((preserve_access_index));
struct sk_buff {
    struct sk_buff *next;
    struct sock *sk;
    struct net_device *dev;
    unsigned char *head;
    unsigned int len;
    unsigned int end; /* of 64-bit kernels: an offset from head */
    unsigned long _skb_refdst;
} __attribute__((preserve_access_index));
struct skb_shared_info {
    __u8 flags;
    struct sk_buff *frag_list;
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
 * Is its socket the kernel's own? Those by which it speaks for itself (neighbour discovery, multicast membership, resets)
 * are raw, and of the cgroup in which the network namespace was made: a container's, when its runtime joins before it
 * unshares.
 */
PS_GLOBAL int kernel__owns_socket(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;
    struct sock *sk = BPF_CORE_READ(kernel, sk);

    return sk && BPF_CORE_READ_BITFIELD_PROBED(sk, sk_kern_sock);
}

#define KERNEL_METRICS 1     /* RTAX_MTU - 1: where a route's MTU stands among its metrics */
#define KERNEL_V6_LEAST 1280 /* RFC 8200, 5 */
#define KERNEL_USUAL_MTU 1500
#define KERNEL_DONT_FRAGMENT 0x40 /* of IPv4's octet 6 */
#define KERNEL_POINTER (~3UL)     /* of a word that has marks in its low bits */

static __always_inline int kernel__is_v4(const struct __sk_buff *skb) {
    return skb->protocol == bpf_htons(0x0800);
}

/* The MTU that the route has of its own, 0 if none. */
static __always_inline __u32 kernel__route_mtu(const struct dst_entry *route) {
    const __u32 *metrics = (const __u32 *)(BPF_CORE_READ(route, _metrics) & KERNEL_POINTER);
    __u32 mtu = 0;

    bpf_probe_read_kernel(&mtu, sizeof(mtu), metrics + KERNEL_METRICS);
    return mtu;
}

/* The route's, but not over the device's, by which a socket with IP_PMTUDISC_OMIT is cut. */
static __always_inline __u32 kernel__shorter(__u32 of_route, __u32 of_device) {
    return of_route && of_route < of_device ? of_route : of_device;
}

/* As ip_dst_mtu_maybe_forward(): what was learned of the path, else of the route, else of the device. */
static __always_inline __u32 kernel__mtu_v4(const struct sk_buff *kernel, const struct dst_entry *route) {
    const struct rtable *v4 = (const struct rtable *)route;
    __u32 learned = BPF_CORE_READ_BITFIELD_PROBED(v4, rt_pmtu), mtu;

    if (learned && (__s64)(BPF_CORE_READ(route, expires) - bpf_jiffies64()) > 0)
        return learned;
    mtu = BPF_CORE_READ(kernel, dev, mtu);
    return kernel__shorter(kernel__route_mtu(route), mtu);
}

static __always_inline struct skb_shared_info *kernel__shared(const struct sk_buff *kernel) {
    return (struct skb_shared_info *)(BPF_CORE_READ(kernel, head) + BPF_CORE_READ(kernel, end));
}

/*
 * Of a datagram that its socket laid out in more than two pieces: how long they leave, all but the last. They stay so
 * where longer ones would do. Two are two, whatever their length.
 */
static __always_inline __u32 kernel__laid_out(const struct sk_buff *kernel, __u32 repeated) {
    const struct sk_buff *second = BPF_CORE_READ(kernel__shared(kernel), frag_list);

    if (!second || !BPF_CORE_READ(second, next))
        return ~0U;
    return BPF_CORE_READ(second, len) + repeated;
}

/* As ip6_skb_dst_mtu(): of the path or the interface. */
static __always_inline __u32 kernel__mtu_v6(const struct sk_buff *kernel, const struct dst_entry *route) {
    return kernel__shorter(kernel__route_mtu(route), BPF_CORE_READ(kernel, dev, ip6_ptr, cnf.mtu6));
}

/* IPV6_MTU: how small the socket wants what is cut; 0: no wish. */
static __always_inline __u32 kernel__wanted_v6(const struct sk_buff *kernel) {
    const struct inet_sock *sk = (const struct inet_sock *)BPF_CORE_READ(kernel, sk);

    return BPF_CORE_READ(sk, pinet6, frag_size);
}

/* As ip_do_fragment() and ip6_fragment() cut what is longer than `mtu`. */
static __always_inline __u32 kernel__longest_piece(const struct sk_buff *kernel, __u32 mtu, int is_v4) {
    __u32 laid_out = kernel__laid_out(kernel, is_v4 ? 20 : 48);
    __u32 wanted = is_v4 ? 0 : kernel__wanted_v6(kernel);

    if (wanted && wanted < mtu)
        mtu = wanted;
    return laid_out < mtu ? laid_out : mtu;
}

/* IP octets of the longest packet before IP cuts: of a GSO buffer, UDP's, a segment. `l4`: of the IP headers. */
static __always_inline __u32 kernel__longest(const struct __sk_buff *skb, __u32 l4) {
    return skb->gso_size ? l4 + PS_UDP_HEADER + skb->gso_size : skb->len;
}

/*
 * Does IP leave the datagram whole, whatever its path? "Don't fragment" stands where the socket wants it, or the path took
 * the length when it was set. That is believed up to the usual MTU: what was made for a larger one (lo's) and then sent
 * elsewhere by NAT is cut all the same, into dozens.
 */
static __always_inline int kernel__stays_whole(const struct __sk_buff *skb, __u32 l4) {
    const __u8 *h = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;

    if (!kernel__is_v4(skb))
        return kernel__longest(skb, l4) <= KERNEL_V6_LEAST;
    return skb->len <= PS_LEAST_MTU ||
           (skb->len <= KERNEL_USUAL_MTU && h + 20 <= end && h[6] & KERNEL_DONT_FRAGMENT);
}

/*
 * packet__fragments of a datagram as it leaves, whose L4 header stands at `l4`. No packets, but a reason: what would leave
 * can't be foretold, and nobody sends such (segments that would be cut, which they were made not to be; options that each
 * piece would repeat). Never too few; too many of sockets that send by the device's MTU alone (IP_PMTUDISC_OMIT).
 */
PS_GLOBAL __u64 kernel__fragments(struct __sk_buff *skb, __u32 l4) {
    const struct sk_buff *kernel = (const struct sk_buff *)skb;
    __u64 whole = (__u64)1 << 32 | skb->len;
    const struct dst_entry *route;
    int is_v4 = kernel__is_v4(skb);
    __u32 mtu;

    if (kernel__stays_whole(skb, l4))
        return whole;
    route = (const struct dst_entry *)(BPF_CORE_READ(kernel, _skb_refdst) & KERNEL_POINTER);
    mtu = is_v4 ? kernel__mtu_v4(kernel, route) : kernel__mtu_v6(kernel, route);
    if (kernel__longest(skb, l4) <= mtu)
        return whole;
    if (skb->gso_size)
        return PS_R_FRAGMENT;
    if (!is_v4 && l4 > 40)
        return PS_R_EXTENSION_HEADER;
    return packet__fragments(skb->len, kernel__longest_piece(kernel, mtu, is_v4), is_v4);
}

/*
 * May the sender still change the payload? Its own pages are, by sendfile, splice or MSG_ZEROCOPY: they are marked
 * SKBFL_ZEROCOPY_ENABLE, SKBFL_SHARED_FRAG, SKBFL_PURE_ZEROCOPY or SKBFL_MANAGED_FRAG_REFS.
 */
PS_GLOBAL int kernel__shares_pages(struct __sk_buff *skb) {
    struct sk_buff *kernel = (struct sk_buff *)skb;

    return BPF_CORE_READ(kernel__shared(kernel), flags) != 0;
}
