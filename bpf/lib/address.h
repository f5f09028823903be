/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An IP address as 16 octets in network order, IPv4 as ::ffff:a.b.c.d, and the classes the policy knows:
 * loopback, private (learned only where a rule says so), never learned. policy/address.cpp holds the oracle's
 * own list; a test compares the two.
 */
#pragma once

#include "lib/cursor.h"

union ps_address {
    __u8 octets[16];
    __u32 words[4];  /* network order */
    __u64 halves[2]; /* network order */
};

PS_INLINE __u32 ps_be32(__u32 v) {
    return __builtin_bswap32(v);
}

PS_INLINE void address__from_v4(union ps_address *a, __u32 host_order) {
    a->halves[0] = 0;
    a->words[2] = ps_be32(0xffff);
    a->words[3] = ps_be32(host_order);
}

PS_INLINE int address__is_v4(const union ps_address *a) {
    return !a->halves[0] && a->words[2] == ps_be32(0xffff);
}

PS_INLINE __u32 address__v4(const union ps_address *a) {
    return ps_be32(a->words[3]);
}

PS_INLINE int address__is_loopback(const union ps_address *a) {
    if (address__is_v4(a))
        return a->octets[12] == 127;
    return !a->halves[0] && !a->words[2] && a->words[3] == ps_be32(1);
}

/* 0.0.0.0 or ::, which connect() takes for "this host". */
PS_INLINE int address__is_unspecified(const union ps_address *a) {
    return !a->words[3] && (address__is_v4(a) || (!a->halves[0] && !a->words[2]));
}

/* Docker's embedded resolver: behind it every port is the resolver (DNAT to a random one). */
PS_INLINE int address__is_docker_resolver(const union ps_address *a) {
    return address__is_v4(a) && address__v4(a) == 0x7f00000b;
}

enum address_class { ADDRESS_PUBLIC, ADDRESS_PRIVATE, ADDRESS_NEVER };

/* RFC 6890's tables, as far as an answer that names them would be rebinding. */
PS_INLINE int address__v4_class(__u32 v4) {
    if (v4 >> 24 == 0 || v4 >> 28 >= 14)
        return ADDRESS_NEVER; /* 0/8, 224/4, 240/4 */
    if (v4 >> 24 == 10 || v4 >> 24 == 127 || v4 >> 20 == 0xac1 || v4 >> 16 == 0xc0a8 || v4 >> 16 == 0xa9fe ||
        v4 >> 22 == 0x6440 >> 6 || v4 >> 8 == 0xc00000 || v4 >> 17 == 0xc612 >> 1 || v4 == 0xa83f8110)
        return ADDRESS_PRIVATE; /* 10/8 127/8 172.16/12 192.168/16 169.254/16 100.64/10 192.0.0/24 198.18/15, and
                                   168.63.129.16, the metadata service of Azure */
    return ADDRESS_PUBLIC;
}

PS_INLINE int address__class(const union ps_address *a) {
    __u32 first = ps_be32(a->words[0]);

    if (address__is_v4(a))
        return address__v4_class(address__v4(a));
    if (address__is_loopback(a))
        return ADDRESS_PRIVATE;
    if (!a->halves[0] && !a->words[2])
        return ADDRESS_NEVER; /* :: and ::a.b.c.d (::/96) */
    if (first >> 24 == 0xff)
        return ADDRESS_NEVER; /* multicast */
    if (first >> 25 == 0xfc >> 1 || first >> 22 == 0xfe80 >> 6 || first >> 22 == 0xfec0 >> 6)
        return ADDRESS_PRIVATE; /* fc00::/7 fe80::/10 fec0::/10 */
    if (first == 0x0064ff9b && !a->words[1] && !a->words[2])
        return address__v4_class(address__v4(a)); /* NAT64, 64:ff9b::/96 */
    if (first == 0x0064ff9b && ps_be32(a->words[1]) >> 16 == 1)
        return ADDRESS_PRIVATE; /* local NAT64, 64:ff9b:1::/48 */
    if (first >> 16 == 0x2002)  /* 6to4 */
        return address__v4_class(first << 16 | ps_be32(a->words[1]) >> 16);
    return ADDRESS_PUBLIC;
}
