/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * May this question be asked? Judges the DNS messages of one packet for the container in the scratch, and records
 * each that may leave, so that its answer can teach. Does not depend on a socket. All results are reasons:
 * PS_R_DNS_QUERY and PS_R_REVERSE_QUERY allow, every other denies; the rule is in the scratch's best.rule.
 */
#pragma once

#include "lib/learn.h"
#include "lib/limiter.h"

static __always_inline const struct ps_policy *query__policy(const struct scratch *s) {
    __u32 policy = PS_BINDING_POLICY(s->binding);

    return bpf_map_lookup_elem(&policies, &policy);
}

/* A name that no rule allows: the reverse name of an address that may be reached passes all the same. */
PS_GLOBAL int query__reverse_name(__u32 index) {
    struct scratch *s = scratch__at(index), *other;
    const struct ps_match *m;
    int is_learned = 0;
    __u32 spare;

    if (!s || !name__reverse_address(index))
        return PS_R_NAME_NOT_ALLOWED;
    m = match__address(&s->address, PS_BINDING_POLICY(s->binding));
    if (m && m->verdict != PS_NONE) {
        s->best.rule = m->rule;
        return m->verdict == PS_ALLOW ? PS_R_REVERSE_QUERY : PS_R_REVERSE_NOT_ALLOWED;
    }
    spare = scratch__claim(); /* judging a learned name again would overwrite the question */
    other = spare == PS_SCRATCH_NONE ? 0 : scratch__at(spare);
    if (other) {
        other->address = s->address;
        other->slot = s->slot;
        other->binding = s->binding;
        other->mode = s->mode;
        other->flow.netns = s->flow.netns;
        is_learned = match__is_learned(spare);
        scratch__release(spare);
    }
    return is_learned ? PS_R_REVERSE_QUERY : PS_R_REVERSE_NOT_ALLOWED;
}

/* The name in the scratch against the policy. */
static __always_inline int query__judge_name(struct scratch *s, __u32 index) {
    int verdict = match__name(index, PS_BINDING_POLICY(s->binding));

    s->best.rule = s->match.rule;
    if (verdict == PS_DENY)
        return PS_R_NAME_DENIED;
    if (verdict == PS_ALLOW)
        return PS_R_DNS_QUERY;
    s->best.rule = 0;
    return query__reverse_name(index);
}

/*
 * Could the container itself have made the answer? Not while source port 53, raw sockets and other resolvers are denied;
 * and not by a listed resolver that is another machine.
 */
static __always_inline int query__is_proven(const struct scratch *s, const struct ps_policy *p) {
    return p->mode == PS_MODE_ENFORCE || (!p->resolvers_any && !address__is_loopback(&s->flow.remote));
}

/* Records the question. A name that is only watched (audit) teaches addresses that nothing allows. */
static __always_inline int query__record(struct scratch *s, __u32 index, const struct ps_policy *p, __u32 cap,
                                         int allowed) {
    learn__fill_query_key(s);
    s->query.name_hash = s->name_hash;
    s->query.sent_ns = bpf_ktime_get_ns();
    s->query.rule_set = allowed ? s->match.rule_set : 0;
    s->query.private_set = allowed ? s->match.private_set : 0;
    s->query.generation = PS_BINDING_GENERATION(s->binding);
    s->query.min_ttl_s = p->min_ttl_s;
    s->query.type = s->type;
    s->query.flags = query__is_proven(s, p) ? 0 : PS_LEARNED_UNPROVEN;
    return learn__store_query(index, cap);
}

/* The container's queries and those for the rule's names, per message: a TCP segment may hold several. */
static __always_inline int query__charge(const struct scratch *s, const struct ps_policy *p) {
    __u16 policy = PS_BINDING_POLICY(s->binding);
    __u64 container = p->limited & PS_LIMITED_CONTAINER ? limiter__find(s->slot, policy, 0) : 0,
          by_rule = p->limited & PS_LIMITED_RULES && s->best.rule
                        ? limiter__find(s->slot, policy, s->best.rule)
                        : 0;

    return container || by_rule ? (int)limiter__one_of_both(container, by_rule, PS_RATE_QUERIES) : 0;
}

static __always_inline int query__is_allowed(int reason) {
    return reason == PS_R_DNS_QUERY || reason == PS_R_REVERSE_QUERY;
}

/* One query message at `offset` of the packet. */
PS_GLOBAL int query__judge(struct __sk_buff *skb, __u32 index, __u32 offset, __u32 length) {
    struct scratch *s = scratch__at(index);
    const struct ps_gate *g = identity__gate();
    const struct ps_policy *p;
    int reason, failed;

    p = s ? query__policy(s) : 0;
    if (!s || !g || !p)
        return PS_R_SCRATCH;
    s->best.rule = 0;
    s->name_length = 0;
    if (length > PS_ANSWER_MAX)
        return PS_R_DNS_TRAILING;
    reason = dns__copy(skb, index, offset, length);
    if (!reason)
        reason = dns__read_query(index, g->hash_seed);
    if (reason)
        return reason;
    reason = query__judge_name(s, index);
    if (!query__is_allowed(reason) && p->mode == PS_MODE_ENFORCE)
        return reason;
    failed = query__is_allowed(reason) ? query__charge(s, p) : 0;
    if (!failed)
        failed = query__record(s, index, p, g->queries_per_slot, reason == PS_R_DNS_QUERY);
    return failed ? failed : reason;
}

/* A segment to port 53 is one or more whole messages, each after its length (RFC 1035, 4.2.2). */
PS_GLOBAL int query__judge_stream(struct __sk_buff *skb, __u32 index) {
    struct scratch *s = scratch__at(index);
    __u32 at, left, length;
    __u8 prefix[2];
    int reason;

    if (!s)
        return PS_R_SCRATCH;
    at = s->flow.payload_offset;
    left = s->flow.payload_length;
    for (int i = 0; i < PS_DNS_MESSAGES; i++) {
        if (left < 2 || cursor__load(skb, at, prefix, 2))
            return PS_R_DNS_FRAMING;
        length = cursor__be16(prefix);
        if (length > left - 2)
            return PS_R_DNS_FRAMING;
        reason = query__judge(skb, index, at + 2, length);
        at += 2 + length;
        left -= 2 + length;
        if (!left || (reason != PS_R_DNS_QUERY && reason != PS_R_REVERSE_QUERY))
            return reason;
    }
    return PS_R_DNS_FRAMING;
}
