/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Outstanding queries, and from their answers the addresses a container may reach. An answer teaches once, only if
 * it matches a query this container sent. All state is capped per container (ring.h).
 */
#pragma once

#include "lib/dns.h"
#include "lib/match.h"
#include "lib/ring.h"

#define PS_NS_PER_S 1000000000ULL

/* The key of the message in the scratch, seen from either side. */
static __always_inline void learn__fill_query_key(struct scratch *s) {
    struct ps_query_key *key = &s->query_key;

    __builtin_memcpy(key->resolver, s->flow.remote.octets, 16);
    key->slot = s->slot;
    key->local_port = s->flow.local_port;
    key->id = s->id;
    key->protocol = s->flow.protocol;
    key->pad[0] = key->pad[1] = key->pad[2] = 0;
    key->netns = s->flow.netns;
}

/* Records the query whose key and value are in the scratch. 0, or PS_R_QUERY_STORE: then it must not leave. */
PS_GLOBAL int learn__store_query(__u32 index, __u32 cap) {
    struct scratch *s = scratch__at(index);
    const struct ps_query *old;
    __s32 place;

    if (!s)
        return PS_R_SCRATCH;
    old = bpf_map_lookup_elem(&queries, &s->query_key);
    if (old) { /* sent again: it keeps its place in the ring */
        s->query.ring_position = old->ring_position;
        goto store;
    }
    __builtin_memset(&s->ring, 0, sizeof(s->ring));
    __builtin_memcpy(s->ring.key, &s->query_key, sizeof(s->query_key));
    place = ring__push(index, s->query_key.slot, PS_RING_QUERIES, cap);
    if (place < 0)
        return PS_R_QUERY_STORE;
    s->query.ring_position = PS_RING_PLACE(place);
    ring__make_room(&queries, s, place, __builtin_offsetof(struct ps_query, ring_position), s->query_key.slot,
                    PS_R_QUERY_EVICTED);
store:
    return bpf_map_update_elem(&queries, &s->query_key, &s->query, BPF_ANY) ? PS_R_QUERY_STORE : 0;
}

/* Has the scratch's name taught an address? */
PS_GLOBAL int learn__knows_name(__u32 index) {
    const struct scratch *s = scratch__at(index);
    struct ps_domain_key key = {};

    if (!s)
        return 0;
    key.slot = s->slot;
    key.name_hash = s->name_hash;
    return bpf_map_lookup_elem(&domains, &key) != 0;
}

/* Keeps the text of the scratch's name, so that a new policy can judge it again. 0 when it is kept. */
PS_GLOBAL int learn__keep_domain(__u32 index, __u32 slot, __u32 cap) {
    struct scratch *s = scratch__at(index);
    struct ps_domain_key key = {.slot = slot};
    const struct ps_domain *known;
    __u32 length;
    __u8 *from;
    __s32 place;

    if (!s)
        return -1;
    key.name_hash = s->name_hash;
    known = bpf_map_lookup_elem(&domains, &key);
    if (known && !ring__is_ageing(slot, PS_RING_DOMAINS, known->ring_position, cap))
        return 0;
    length = s->name_length;
    if (length > PS_NAME_MAX)
        return -1;
    PS_BARRIER(length);
    length &= 0xff;
    from = s->name + (PS_NAME_END - length);
    for (__u32 i = 0; i < PS_NAME_MAX; i++)
        s->domain.reversed[i] = from[i];
    s->domain.length = (__u16)length;
    __builtin_memset(&s->ring, 0, sizeof(s->ring));
    __builtin_memcpy(s->ring.key, &key, sizeof(key));
    place = ring__push(index, slot, PS_RING_DOMAINS, cap);
    if (place < 0)
        return -1;
    s->domain.ring_position = PS_RING_PLACE(place);
    ring__make_room(&domains, s, place, __builtin_offsetof(struct ps_domain, ring_position), slot,
                    PS_R_DOMAIN_EVICTED);
    return bpf_map_update_elem(&domains, &key, &s->domain, BPF_ANY) ? -1 : 0;
}

/* The row of the scratch's `address`, made if need be. Null when there is no room: counted. */
static __always_inline struct ps_learned *learn__row(struct scratch *s, __u32 index, __u32 slot, __u32 cap,
                                                     __u32 is_private) {
    struct ps_learned *row = match__learned(&s->address, s);
    struct ps_address_key key = {.slot = slot, .netns = s->flow.netns};
    __s32 place;

    if (row && !ring__is_ageing(slot, PS_RING_LEARNED, row->ring_position, cap))
        return row;
    __builtin_memcpy(key.address, s->address.octets, 16);
    __builtin_memset(&s->ring, 0, sizeof(s->ring));
    __builtin_memcpy(s->ring.key, &key, sizeof(key));
    place = ring__push(index, slot, PS_RING_LEARNED, cap);
    if (place >= 0) {
        s->blank_learned.ring_position = PS_RING_PLACE(place);
        s->blank_learned.is_private = is_private;
        ring__make_room(&learned, s, place, __builtin_offsetof(struct ps_learned, ring_position), slot,
                        PS_R_LEARNED_EVICTED);
        if (row)
            row->ring_position = PS_RING_PLACE(place);
        else
            bpf_map_update_elem(&learned, &key, &s->blank_learned, BPF_NOEXIST);
    }
    row = bpf_map_lookup_elem(&learned, &key);
    if (!row)
        account__note(slot, PS_R_LEARNED_FULL);
    return row;
}

/* The entry for a name: its own, else a free or expired one, else the one that expires first. */
static __always_inline struct ps_learned_name *learn__entry(struct ps_learned *row, __u64 hash, __u64 now,
                                                            __u32 slot) {
    __u64 soonest = ~0ULL;
    __u32 pick = 0;

    for (__u32 i = 0; i < PS_NAMES_PER_ADDRESS; i++) {
        struct ps_learned_name *n = &row->names[i];
        __u64 expires = n->name_hash ? n->expires_ns : 0;

        if (n->name_hash == hash)
            return n;
        if (expires < soonest) {
            soonest = expires;
            pick = i;
        }
    }
    if (soonest > now)
        account__note(slot, PS_R_NAMES_EVICTED);
    return &row->names[pick & (PS_NAMES_PER_ADDRESS - 1)];
}

/* The address of the record in the scratch; 0: it is of another type. */
static __always_inline int learn__read_address(struct scratch *s) {
    __u32 data = s->record_data;

    if (data > PS_ANSWER_MAX - 16)
        return 0;
    if (s->record_type == PS_DNS_A && s->record_length == 4)
        address__from_v4(&s->address, cursor__be32(&s->message[data & PS_MESSAGE_MASK]));
    else if (s->record_type == PS_DNS_AAAA && s->record_length == 16)
        __builtin_memcpy(s->address.octets, &s->message[data & PS_MESSAGE_MASK], 16);
    else
        return 0;
    return 1;
}

/*
 * Teaches the address of the record in the scratch, if it is one, to the slot of the scratch's query. Entries are changed in
 * place: an entry that is changing is expired first, so that a reader on another CPU sees it old, new or absent. All of it
 * is here and not in the walk, each turn of which costs the verifier.
 */
PS_GLOBAL int learn__address(__u32 index, __u32 slot, __u32 cap) {
    struct scratch *s = scratch__at(index);
    struct ps_learned_name *n;
    struct ps_learned *row;
    __u64 now, set, expires;
    int class, fresh;
    __u32 ttl_s;

    if (!s || !learn__read_address(s))
        return 0;
    ttl_s = s->record_ttl;
    class = address__class(&s->address);
    set = class == ADDRESS_PRIVATE ? s->query.private_set : s->query.rule_set;
    if (class == ADDRESS_NEVER || (class == ADDRESS_PRIVATE && !set))
        return account__note(slot, PS_R_LEARNED_PRIVATE);
    if (ttl_s > PS_TTL_MAX_S) /* also the negative ones (RFC 2181, 8) */
        ttl_s = PS_TTL_MAX_S;
    if (ttl_s < s->query.min_ttl_s)
        ttl_s = s->query.min_ttl_s;
    row = learn__row(s, index, slot, cap, class == ADDRESS_PRIVATE);
    if (!row)
        return 0;
    now = bpf_ktime_get_ns();
    n = learn__entry(row, s->query.name_hash, now, slot);
    fresh = n->name_hash != s->query.name_hash;
    /* One more second: the application's clock starts when it reads the answer. */
    expires = now + (__u64)(ttl_s + 1) * PS_NS_PER_S;
    if (fresh) {
        __sync_lock_test_and_set(&n->expires_ns, 0);
        __sync_lock_test_and_set(&n->name_hash, s->query.name_hash);
    } else if (n->generation == s->query.generation && n->expires_ns > expires) {
        expires = n->expires_ns; /* load-balanced resolvers: a shorter TTL takes nothing back */
    }
    __sync_lock_test_and_set(&n->generation, 0); /* readers judge for themselves until it is whole */
    n->flags = s->query.flags;
    __sync_lock_test_and_set(&n->rule_set, set);
    __sync_lock_test_and_set(&n->generation, s->query.generation);
    __sync_lock_test_and_set(&n->expires_ns, expires);
    return account__note(slot, fresh ? PS_R_LEARNED_NEW : PS_R_LEARNED_REFRESH);
}

/* Walks the answer section of the scratch's message from `at`. 0, or the reason why it stopped early. */
PS_GLOBAL int learn__records(__u32 index, __u32 at, __u32 slot, __u32 cap) {
    struct scratch *s = scratch__at(index);
    __u32 count;

    if (!s)
        return 0;
    count = s->answers;
    for (__u32 i = 0; i < PS_ANSWER_RECORDS; i++) {
        if (i >= count)
            return 0;
        at = dns__read_record(index, at);
        if (!at)
            return s->message_length == PS_ANSWER_MAX ? PS_R_ANSWER_TRUNCATED : PS_R_ANSWER_MALFORMED;
        learn__address(index, slot, cap);
    }
    return PS_R_ANSWER_TRUNCATED;
}

/*
 * The query that the answer in the scratch belongs to, taken out of the map: the one who deletes it is the one who
 * may learn. Fills `query`. 0, or the reason why it teaches nothing.
 */
PS_GLOBAL int learn__take_query(__u32 index) {
    struct ps_ring_key place = {.kind = PS_RING_QUERIES};
    struct scratch *s = scratch__at(index);
    const struct ps_query *q;

    if (!s)
        return PS_R_SCRATCH;
    q = bpf_map_lookup_elem(&queries, &s->query_key);
    if (!q || q->name_hash != s->name_hash || q->type != s->type)
        return PS_R_ANSWER_UNMATCHED;
    s->query = *q;
    if (bpf_map_delete_elem(&queries, &s->query_key))
        return PS_R_ANSWER_UNMATCHED;
    place.position = s->query.ring_position;
    place.slot = s->query_key.slot;
    bpf_map_delete_elem(&rings,
                        &place); /* answered: it holds no place (a newer one there only loses its cap) */
    if (bpf_ktime_get_ns() - s->query.sent_ns > PS_QUERY_LIFETIME_S * PS_NS_PER_S)
        return PS_R_ANSWER_LATE;
    return s->rcode ? PS_R_ANSWER_FAILED : 0;
}

/* The policy has changed since the question was asked: what its name teaches now. */
static __always_inline void learn__judge_again(struct scratch *s, __u32 index) {
    int allowed = match__name(index, PS_BINDING_POLICY(s->binding)) == PS_ALLOW;

    s->query.rule_set = allowed ? s->match.rule_set : 0;
    s->query.private_set = allowed ? s->match.private_set : 0;
    s->query.generation = PS_BINDING_GENERATION(s->binding);
}

/* One answer message at `offset` of the packet. Gives PS_R_DNS_ANSWER or what was noticed. */
PS_GLOBAL int learn__message(struct __sk_buff *skb, __u32 index, __u32 offset, __u32 length) {
    struct scratch *s = scratch__at(index);
    const struct ps_gate *g = identity__gate();
    int at, reason;

    if (!s || !g)
        return PS_R_SCRATCH;
    if (dns__copy(skb, index, offset, length))
        return PS_R_ANSWER_MALFORMED;
    at = dns__read_answer(index, g->hash_seed);
    if (at < 0)
        return PS_R_ANSWER_MALFORMED;
    learn__fill_query_key(s);
    reason = learn__take_query(index);
    if (reason)
        return reason;
    if (s->query.generation != PS_BINDING_GENERATION(s->binding))
        learn__judge_again(s, index);
    if (!s->answers)
        return s->truncated ? PS_R_ANSWER_TRUNCATED : PS_R_DNS_ANSWER;
    /* Without its text the name could not outlive a change of policy; it still serves until then. */
    learn__keep_domain(index, s->slot, g->domains_per_slot);
    reason = learn__records(index, (__u32)at, s->slot, g->learned_per_slot);
    /* What is there counts all the same: some clients (musl before 1.2.4) use it and do not ask again over TCP. */
    if (!reason && (s->truncated || length > PS_ANSWER_MAX))
        reason = PS_R_ANSWER_TRUNCATED;
    return reason ? reason : PS_R_DNS_ANSWER;
}
