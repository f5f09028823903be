/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only reader of DNS messages (RFC 1035, 4.1; EDNS: RFC 6891). Works on the scratch's copy of a message;
 * knows nothing of policy, containers or maps.
 */
#pragma once

#include "lib/name.h"

#define PS_DNS_HEADER 12
#define PS_DNS_A 1
#define PS_DNS_AAAA 28
#define PS_DNS_OPT 41
#define PS_DNS_IN 1

/* Copies a message of `length` octets at `offset` of the packet; what is over PS_ANSWER_MAX is left out. */
PS_GLOBAL int dns__copy(struct ps_packet *packet, __u32 index, __u32 offset, __u32 length) {
    struct scratch *s = scratch__at(index);
    __u32 n = length < PS_ANSWER_MAX ? length : (__u32)PS_ANSWER_MAX;

    if (!s || !n)
        return PS_R_DNS_SHORT;
    s->message_length = n;
    n--;
    PS_BARRIER(n); /* 6.1: `n != 0` does not raise the minimum, so bound n - 1 */
    n &= PS_MESSAGE_MASK;
    if (cursor__load(packet, offset, s->message, n + 1))
        return PS_R_DNS_SHORT;
    return 0;
}

/* The question after the header: name, type, class. Gives the offset behind it, or -(reason). */
PS_INLINE __s32 dns__question(struct scratch *s, __u32 index, __u32 end, __u64 seed) {
    __s32 read = name__read(index, PS_DNS_HEADER, end, seed);
    __u32 at;

    if (read < 0)
        return read;
    at = PS_DNS_HEADER + (__u32)read;
    if (at + 4 > end)
        return PS_NAME_ERROR(PS_R_DNS_SHORT);
    s->type = cursor__be16(&s->message[at & 0x1ff]);
    if (cursor__be16(&s->message[(at + 2) & 0x1ff]) != PS_DNS_IN)
        return PS_NAME_ERROR(PS_R_DNS_CLASS);
    return (__s32)(at + 4);
}

/* Nothing, or one EDNS record that ends where the message ends. */
PS_INLINE __u8 dns__additional(struct scratch *s, __u32 at, __u32 end, __u16 count) {
    const __u8 *opt;

    if (!count)
        return at == end ? 0 : PS_R_DNS_TRAILING;
    if (at + 11 > end)
        return PS_R_DNS_TRAILING;
    opt = &s->message[at & 0x1ff];
    if (opt[0] || cursor__be16(opt + 1) != PS_DNS_OPT || at + 11 + cursor__be16(opt + 9) != end)
        return PS_R_DNS_TRAILING;
    return 0;
}

/* A query that a client may send. Fills id, type, name; 0 or the reason it is refused. */
PS_GLOBAL int dns__read_query(__u32 index, __u64 seed) {
    struct scratch *s = scratch__at(index);
    __u32 end;
    __s32 at;

    if (!s)
        return PS_R_SCRATCH;
    s->name_length = 0;
    end = s->message_length;
    if (end < PS_DNS_HEADER)
        return PS_R_DNS_SHORT;
    s->id = cursor__be16(s->message);
    if (s->message[2] & 0x80)
        return PS_R_DNS_RESPONSE;
    if (s->message[2] & 0x78)
        return PS_R_DNS_OPCODE;
    if (cursor__be16(s->message + 4) != 1)
        return PS_R_DNS_QDCOUNT;
    if (cursor__be16(s->message + 6) || cursor__be16(s->message + 8) || cursor__be16(s->message + 10) > 1)
        return PS_R_DNS_COUNTS;
    at = dns__question(s, index, end, seed);
    if (at < 0)
        return -at;
    return dns__additional(s, (__u32)at, end, cursor__be16(s->message + 10));
}

/*
 * Header and question of an answer. Fills id, rcode, truncated, answers, type, name. Gives the offset of the
 * first record, or -(PS_R_ANSWER_MALFORMED).
 */
PS_GLOBAL int dns__read_answer(__u32 index, __u64 seed) {
    struct scratch *s = scratch__at(index);
    __u32 end;
    __s32 at;

    if (!s)
        return -PS_R_SCRATCH;
    end = s->message_length;
    if (end < PS_DNS_HEADER || (s->message[2] & 0xf8) != 0x80 || cursor__be16(s->message + 4) != 1)
        return -PS_R_ANSWER_MALFORMED;
    s->id = cursor__be16(s->message);
    s->truncated = s->message[2] & 0x02;
    s->rcode = s->message[3] & 0x0f;
    s->answers = cursor__be16(s->message + 6);
    at = dns__question(s, index, end, seed);
    return at < 0 ? -PS_R_ANSWER_MALFORMED : at;
}

/* Steps over a record's owner name, which may end in a pointer. The offset behind it, or 0. */
PS_INLINE __u32 dns__skip_name(struct scratch *s, __u32 at, __u32 end) {
    for (int i = 0; i < 128; i++) {
        __u8 c;

        if (at >= end)
            return 0;
        c = s->message[at & PS_MESSAGE_MASK];
        if (!c)
            return at + 1;
        if (c >= 0xc0)
            return at + 2; /* followed by nobody: the name is the query's business */
        if (c > 63)
            return 0;
        at += c + 1;
    }
    return 0;
}

/* The record at `at`. Fills record_*; gives the offset behind it, or 0 when it is not all there. */
PS_GLOBAL __u32 dns__read_record(__u32 index, __u32 at) {
    struct scratch *s = scratch__at(index);
    __u32 end;
    __u8 head[10];

    if (!s)
        return 0;
    end = s->message_length;
    if (end > PS_ANSWER_MAX)
        return 0;
    at = dns__skip_name(s, at, end);
    if (!at || at + sizeof(head) > end)
        return 0;
    for (__u32 i = 0; i < sizeof(head); i++)
        head[i] = s->message[(at + i) & PS_MESSAGE_MASK];
    s->record_type = cursor__be16(head + 2) == PS_DNS_IN ? cursor__be16(head) : 0;
    s->record_ttl = cursor__be32(head + 4);
    s->record_length = cursor__be16(head + 8);
    s->record_data = at + sizeof(head);
    at += sizeof(head) + s->record_length;
    return at <= end ? at : 0;
}
