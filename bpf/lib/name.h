/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A name of a DNS message as the key of the names trie: checked, lower-cased, reversed, hashed, in one pass.
 * Refuses what no query needs and what could hide a name: compression, overlong labels, octets that are not
 * printable ASCII, a dot inside a label.
 */
#pragma once

#include "lib/scratch.h"

#define PS_NAME_OK(length) ((__s32)(length))
#define PS_NAME_ERROR(reason) (-(__s32)(reason))
#define PS_HASH_PRIME 0x100000001b3ULL

PS_INLINE __u64 name__finish_hash(__u64 h) {
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15ULL;
    h ^= h >> 29;
    return h >= PS_NAME_FIRST_HASH ? h : h + PS_NAME_FIRST_HASH; /* see ps_fixed_name */
}

/*
 * Reads the name at `offset` of the scratch's message, which has `end` octets. Gives the octets read, or
 * -(reason). Fills name, name_length, name_hash. The root is the empty name, one octet.
 */
PS_GLOBAL __s32 name__read(__u32 index, __u32 offset, __u32 end, __u64 seed) {
    struct scratch *s = scratch__at(index);
    __u32 label = 0, length = 0;
    __u64 hash = 0xcbf29ce484222325ULL ^ seed;

    if (!s)
        return PS_NAME_ERROR(PS_R_SCRATCH);
    for (__u32 i = 0; i < PS_NAME_MAX + 2; i++) { /* text, a first length octet and the final 0 */
        __u32 at = offset + i;
        __u8 c;

        if (at >= end)
            return PS_NAME_ERROR(PS_R_DNS_SHORT);
        c = s->message[at & PS_MESSAGE_MASK];
        if (!label) {
            if (!c) {
                s->name_length = length;
                s->name_hash = name__finish_hash(hash);
                return PS_NAME_OK(i + 1);
            }
            if (c > 63)
                return PS_NAME_ERROR(PS_R_DNS_LABEL); /* also every compression pointer */
            label = c;
            if (!i)
                continue;
            c = '.';
        } else {
            if (c < 0x21 || c > 0x7e || c == '.')
                return PS_NAME_ERROR(PS_R_DNS_LABEL);
            if (c >= 'A' && c <= 'Z')
                c += 'a' - 'A';
            label--;
        }
        if (length >= PS_NAME_MAX)
            return PS_NAME_ERROR(PS_R_DNS_NAME_LONG);
        s->name[PS_NAME_END - 1 - length] = c;
        hash = (hash ^ c) * PS_HASH_PRIME;
        hash ^= hash >> 32; /* else only the seed's low octet would tell what collides */
        length++;
    }
    return PS_NAME_ERROR(PS_R_DNS_NAME_LONG);
}

/* Does the name read last end in `text` reversed ("apra.rdda-ni.")? */
PS_INLINE int name__starts(const __u8 *reversed, const char *text, __u32 length) {
    for (__u32 i = 0; i < length; i++)
        if (reversed[i] != (__u8)text[i])
            return 0;
    return 1;
}

PS_INLINE int name__hex_digit(__u8 c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* "apra.rdda-ni." then four decimal labels, digits reversed within each; no leading zeros, none over 255. */
PS_INLINE int name__reverse_v4(struct scratch *s, const __u8 *r, __u32 length) {
    __u32 octet = 0, digits = 0, place = 1, v4 = 0, labels = 0;
    __u8 last = 0;

    for (__u32 i = 0; i < 16; i++) { /* "255.255.255.255" and its end */
        __u8 c = i + 13 < length ? r[i + 13] : '.';

        if (c == '.') {
            if (!digits || octet > 255 || (digits > 1 && last == '0'))
                return 0;
            v4 = v4 << 8 | octet;
            labels++;
            if (i + 13 >= length)
                break;
            octet = 0;
            digits = 0;
            place = 1;
            continue;
        }
        if (c < '0' || c > '9' || digits >= 3)
            return 0;
        octet += (c - '0') * place;
        place *= 10;
        digits++;
        last = c;
    }
    if (labels != 4 || length > 13 + 15)
        return 0;
    address__from_v4(&s->address, v4);
    return 1;
}

/* "apra.6pi." then 32 nibbles with dots between: 9 + 63 octets. */
PS_INLINE int name__reverse_v6(struct scratch *s, const __u8 *r, __u32 length) {
    if (length != 9 + 63)
        return 0;
    for (__u32 i = 0; i < 16; i++) {
        int high = name__hex_digit(r[9 + i * 4]);
        int low = name__hex_digit(r[9 + i * 4 + 2]);

        if (high < 0 || low < 0 || r[9 + i * 4 + 1] != '.' || (i < 15 && r[9 + i * 4 + 3] != '.'))
            return 0;
        s->address.octets[i] = (__u8)(high << 4 | low);
    }
    return 1;
}

/*
 * The address that a name under in-addr.arpa or ip6.arpa stands for, into the scratch's `address`. 1, or 0 when
 * the name is not the name of a whole address.
 */
PS_GLOBAL int name__reverse_address(__u32 index) {
    struct scratch *s = scratch__at(index);
    __u32 length;
    const __u8 *r;

    if (!s)
        return 0;
    length = s->name_length;
    if (length > PS_NAME_MAX)
        return 0;
    PS_BARRIER(length);
    r = s->name + (PS_NAME_END - (length & 0xff));
    if (length > 13 && name__starts(r, "apra.rdda-ni.", 13))
        return name__reverse_v4(s, r, length);
    if (length > 9 && name__starts(r, "apra.6pi.", 9))
        return name__reverse_v6(s, r, length);
    return 0;
}
