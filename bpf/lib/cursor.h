/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounded reads from a packet. In BPF the packet is a __sk_buff, read with bpf_skb_load_bytes because packet
 * pointers see only 28 octets of a sendfile; on the host (PS_HOST) it is a span of octets, so that the parsers
 * run under sanitizers and fuzzers. Offsets are from the IP header.
 */
#pragma once

#include "abi.h"

#ifdef PS_HOST
#include <cstring>
#define _Static_assert static_assert
using namespace penstock::abi;
#define PS_INLINE static inline
#define PS_GLOBAL inline
#define PS_BARRIER(x) (void)(x)
struct ps_packet {
    const unsigned char *octets;
    __u32 len;
    __u32 gso_size;
    __u32 gso_segs;
};
#else
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#define PS_INLINE static __always_inline
/*
 * A function the verifier checks once, for any arguments (facts: section 11). weak, because clang otherwise drops
 * or narrows arguments by looking at the callers and 6.1 then refuses the call.
 */
#define PS_GLOBAL __attribute__((noinline, weak))
/* Keeps clang from merging a bound check with the use that 6.1's verifier must see bounded. */
#define PS_BARRIER(x) asm volatile("" : "+r"(x))
#define ps_packet __sk_buff
#endif

/* 0, or negative when the octets are not all there. */
PS_INLINE int cursor__load(const struct ps_packet *packet, __u32 offset, void *to, __u32 length) {
#ifdef PS_HOST
    if (offset > packet->len || length > packet->len - offset)
        return -1;
    memcpy(to, packet->octets + offset, length);
    return 0;
#else
    return bpf_skb_load_bytes(packet, offset, to, length);
#endif
}

PS_INLINE __u16 cursor__be16(const __u8 *p) {
    return (__u16)((p[0] << 8) | p[1]);
}
PS_INLINE __u32 cursor__be32(const __u8 *p) {
    return ((__u32)p[0] << 24) | ((__u32)p[1] << 16) | ((__u32)p[2] << 8) | p[3];
}
