/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Look-ups: names, addresses, ports, learned addresses, resolvers. Each answers what the maps say; what
 * follows from it is verdict.h's.
 */
#pragma once

#include "lib/account.h"
#include "lib/packet.h"
#include "lib/scratch.h"

static __always_inline const struct ps_match *match__address(const union ps_address *a, __u16 policy) {
    if (address__is_v4(a)) {
        struct ps_cidr4_key key = {.prefixlen = 16 + 32, .policy = policy};

        __builtin_memcpy(key.address, &a->words[3], 4);
        return bpf_map_lookup_elem(&cidrs4, &key);
    } else {
        struct ps_cidr6_key key = {.prefixlen = 16 + 128, .policy = policy};

        __builtin_memcpy(key.address, a->octets, 16);
        return bpf_map_lookup_elem(&cidrs6, &key);
    }
}

static __always_inline int match__is_resolver(const union ps_address *a, const struct ps_policy *p,
                                              __u16 policy) {
    struct ps_resolver_key key = {.policy = policy};

    if (p->resolvers_any)
        return 1;
    __builtin_memcpy(key.address, a->octets, 16);
    return bpf_map_lookup_elem(&resolvers, &key) != 0;
}

/* Adds what a rule set says of a protocol and port. */
static __always_inline void match__port(struct finding *best, __u64 rule_set, __u8 protocol, __u16 port,
                                        __u64 name_hash) {
    struct ps_port_key key = {.prefixlen = 64 + 8 + 16,
                              .rule_set = rule_set,
                              .protocol = protocol,
                              .port_be = {(__u8)(port >> 8), (__u8)port}};
    const struct ps_port_rule *found;

    if (!rule_set)
        return;
    found = bpf_map_lookup_elem(&ports, &key);
    if (!found || best->verdict == PS_DENY)
        return;
    if (found->verdict == PS_DENY || best->verdict == PS_NONE) {
        best->verdict = found->verdict;
        best->rule = found->rule;
        best->name_hash = name_hash;
    }
}

/* Looks the name in the scratch's key area up under `policy`; fills `match`. The query's verdict: ps_verdict. */
PS_GLOBAL int match__name(__u32 index, __u32 policy) {
    struct scratch *s = scratch__at(index);
    const struct ps_match *found;
    __u32 length, bits;
    __u8 *key;

    if (!s)
        return PS_NONE;
    length = s->name_length;
    if (length > PS_NAME_MAX)
        return PS_NONE;
    PS_BARRIER(length);
    length &= 0xff;
    bits = (2 + length + 1) * 8;
    key = s->name + (PS_NAME_END - PS_KEY_HEADER - length);
    key[0] = (__u8)bits; /* by octets: the key stands at any alignment */
    key[1] = (__u8)(bits >> 8);
    key[2] = 0;
    key[3] = 0;
    key[4] = (__u8)policy;
    key[5] = (__u8)(policy >> 8);
    found = bpf_map_lookup_elem(&names, key);
    if (!found) {
        __builtin_memset(&s->match, 0, sizeof(s->match));
        return PS_NONE;
    }
    s->match = *found;
    return s->match.verdict;
}

/*
 * The rule set that a learned name has under the present policy, 0 when the name is allowed no more or its text is
 * gone. Overwrites the scratch's name.
 */
PS_GLOBAL __u64 match__judge_again(__u32 index, __u32 slot, __u64 name_hash, __u32 policy, __u32 is_private) {
    struct scratch *s = scratch__at(index);
    const struct ps_domain *domain;
    __u32 length;
    __u8 *to;

    if (!s)
        return 0;
    s->domain_key.name_hash = name_hash;
    s->domain_key.slot = slot;
    s->domain_key.pad = 0;
    domain = bpf_map_lookup_elem(&domains, &s->domain_key);
    if (!domain)
        return 0;
    length = domain->length;
    if (length > PS_NAME_MAX)
        return 0;
    PS_BARRIER(length);
    length &= 0xff;
    s->name_length = length;
    to = s->name + (PS_NAME_END - length);
    /* Whole text and the 0s behind it: what comes after NAME_END must stay 0. */
    for (__u32 i = 0; i < PS_NAME_MAX; i++) {
        if (i >= length)
            break;
        to[i] = domain->reversed[i];
    }
    if (match__name(index, policy) != PS_ALLOW)
        return 0;
    return is_private ? s->match.private_set : s->match.rule_set;
}

/* An entry's rule set now: what it holds, or judged again after a change of policy. */
static __always_inline __u64 match__learned_set(struct ps_learned *l, struct ps_learned_name *n, __u32 index,
                                                const struct scratch *s) {
    __u32 generation = PS_BINDING_GENERATION(s->binding), seen = n->generation;
    __u64 set;

    if (seen == generation)
        return n->rule_set;
    if (n->flags & PS_LEARNED_UNPROVEN && s->mode == PS_MODE_ENFORCE)
        set = 0;
    else
        set = match__judge_again(index, s->slot, n->name_hash, PS_BINDING_POLICY(s->binding), l->is_private);
    /* Written back by one at a time, the generation last: never an old rule set under a new generation. */
    if (seen && __sync_val_compare_and_swap(&n->generation, seen, 0) == seen) {
        __sync_lock_test_and_set(&n->rule_set, set);
        __sync_lock_test_and_set(&n->generation, generation);
    }
    return set;
}

static __always_inline struct ps_learned *match__learned(const union ps_address *a, const struct scratch *s) {
    struct ps_address_key key = {.slot = s->slot, .netns = s->flow.netns};

    __builtin_memcpy(key.address, a->octets, 16);
    return bpf_map_lookup_elem(&learned, &key);
}

/*
 * Adds to the scratch's `best` what the names learned for its flow's address say; gives best's verdict. Expired
 * names count only for the flow that is open under them (`open_name`). Overwrites the scratch's name only after a
 * change of policy.
 */
PS_GLOBAL int match__learned_names(__u32 index, __u64 open_name) {
    struct scratch *s = scratch__at(index);
    __u64 now = bpf_ktime_get_ns();
    struct ps_learned *l;

    if (!s)
        return PS_NONE;
    l = match__learned(&s->flow.remote, s);
    for (__u32 i = 0; l && i < PS_NAMES_PER_ADDRESS; i++) {
        struct ps_learned_name *n = &l->names[i];
        __u64 hash = n->name_hash;

        if (!hash || (n->expires_ns <= now && hash != open_name))
            continue;
        match__port(&s->best, match__learned_set(l, n, index, s), s->flow.protocol, s->flow.remote_port,
                    hash);
    }
    return s->best.verdict;
}

/* Is some name learned for the scratch's `address` still allowed? For reverse look-ups. */
PS_GLOBAL int match__is_learned(__u32 index) {
    struct scratch *s = scratch__at(index);
    __u64 now = bpf_ktime_get_ns();
    struct ps_learned *l;

    if (!s)
        return 0;
    l = match__learned(&s->address, s);
    for (__u32 i = 0; l && i < PS_NAMES_PER_ADDRESS; i++) {
        struct ps_learned_name *n = &l->names[i];

        if (n->name_hash && n->expires_ns > now && match__learned_set(l, n, index, s))
            return 1;
    }
    return 0;
}
