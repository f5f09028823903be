/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Room for what is too large for the stack. A per-CPU element alone is not private: cgroup_skb programs are
 * preemptible and nest (facts: pitfall 1), so each run claims one of PS_SCRATCH_SLOTS by an atomic bit and
 * gives it back at its end. Global functions take the claimed index and look the element up again.
 */
#pragma once

#include "lib/packet.h"

/* The reversed name is written downwards from NAME_END; 0s follow it, the key's header stands before it. */
#define PS_NAME_END 264
#define PS_KEY_HEADER 6

/* The best answer so far for a flow: any deny beats every allow, the first of each kind counts. */
struct finding {
    __u64 rule;
    __u64 name_hash; /* the learned name behind it, 0 for a CIDR */
    __u8 verdict;
};

#define PAST_CAN_REMEMBER 1
#define PAST_ADMITTED 2  /* its connect() was charged as a connection */
#define PAST_SAME_FLOW 4 /* what it remembers is of this flow; so are the two below */
#define PAST_ACCEPTED 8  /* others opened it */
#define PAST_AGAIN 16    /* and a packet of it was allowed before: a SYN is sent again */

struct scratch {
    /* what is judged, and for whom: filled by verdict__open, since global functions take scalars only */
    struct flow flow;
    __u64 binding;
    __u64 cgroup_id;
    __u32 slot;
    __u32 serial;
    __u32 mode;
    struct finding best;
    __u64 container, by_rule; /* charges: see limiter__find */
    __u32 pid;                /* of the task, 0 of a packet */
    char comm[16];
    __u64 open_name; /* the learned name that the packet's socket was allowed by */
    __u64 open_rule; /* and the rule */
    __u32 touches;   /* allowed UDP: its peer is to be noted once the packet is charged */
    __u32 past;      /* PAST_*: what the packet's socket remembers */
    __u32 logs;      /* the policy wants a flow log */
    __u8 message[PS_ANSWER_MAX];
    __u8 name[PS_NAME_END + 264]; /* see above */
    __u32 name_length;            /* octets of the text */
    __u32 message_length;         /* octets of `message` that are the message's */
    __u64 name_hash;
    __u16 id;
    __u16 type;
    __u16 answers;
    __u8 rcode;
    __u8 truncated;
    struct ps_match match;    /* of the name */
    union ps_address address; /* of a reverse name, or of a record */
    /* one record of an answer */
    __u32 record_data; /* offset */
    __u32 record_ttl;
    __u16 record_type;
    __u16 record_length;
    /* the query an answer belongs to */
    struct ps_query query;
    struct ps_query_key query_key;
    struct ps_ring_entry ring;    /* the key that takes a place */
    struct ps_ring_entry evicted; /* the key that stood there */
    /* keys, here and not on the stack: six calls deep every 32 octets count */
    struct ps_domain_key domain_key;
    struct ps_udp_peer_key peer_key;
    struct ps_flow_key flow_key;
    struct ps_learned blank_learned;
    struct ps_domain domain;
};

#define PS_MESSAGE_MASK (PS_ANSWER_MAX - 1)
_Static_assert((PS_ANSWER_MAX & PS_MESSAGE_MASK) == 0, "the mask needs a power of two");

#ifdef PS_HOST
struct scratch *scratch__at(__u32 index);
#else
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PS_SCRATCH_SLOTS);
    __type(key, __u32);
    __type(value, struct scratch);
} scratches SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} scratch_busy SEC(".maps") __weak;

#define PS_SCRATCH_NONE 0xffffffff

static __always_inline struct scratch *scratch__at(__u32 index) {
    return bpf_map_lookup_elem(&scratches, &index);
}

/* For another run: what the last one left is forgotten where it matters. */
static __always_inline void scratch__open(struct scratch *s, const struct flow *f) {
    s->flow = *f;
    s->name_length = 0;
    s->open_name = 0;
    s->open_rule = 0;
    s->past = 0;
    s->pid = 0;
    s->touches = 0;
    __builtin_memset(&s->best, 0, sizeof(s->best));
}

/*
 * PS_SCRATCH_NONE when programs nest deeper than there are slots: the caller denies. Global, so that the four ways
 * out are not times all that follows.
 */
PS_GLOBAL __u32 scratch__claim(void) {
    __u32 zero = 0;
    __u64 *busy = bpf_map_lookup_elem(&scratch_busy, &zero);

    if (!busy)
        return PS_SCRATCH_NONE;
    for (__u32 i = 0; i < PS_SCRATCH_SLOTS; i++) {
        __u64 bit = 1ULL << i;

        if (!(__sync_fetch_and_or(busy, bit) & bit))
            return i;
    }
    return PS_SCRATCH_NONE;
}

static __always_inline void scratch__release(__u32 index) {
    __u32 zero = 0;
    __u64 *busy = bpf_map_lookup_elem(&scratch_busy, &zero);

    if (busy && index < PS_SCRATCH_SLOTS)
        __sync_fetch_and_and(busy, ~(1ULL << index));
}
#endif
