/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a compiled policy says: names, addresses, ports, resolvers. Part of abi.h, and under its rules. */
#pragma once

#include "layout.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

/* policies: ARRAY by policy id; never changed while a binding names it. */
struct ps_policy {
    __u64 content_hash; /* of the compiled image: equal hash, equal policy */
    __u32 generation;   /* never used twice */
    __u32 min_ttl_s;
    __u8 mode;     /* PS_MODE_* */
    __u8 inbound;  /* PS_ALLOW or PS_DENY */
    __u8 loopback; /* PS_ALLOW or PS_DENY */
    __u8 resolvers_any;
    __u8 default_reason; /* PS_R_NO_RULE, or PS_R_BIRTH for the birth policies */
    __u8 limited;        /* PS_LIMITED_* */
    __u8 flows;          /* 1: its containers' flows are logged */
    __u8 pad;
};
PS_ASSERT_SIZE(ps_policy, 24);
/* limits has entries of it: of rule 0; of rules */
enum ps_limited { PS_LIMITED_CONTAINER = 1, PS_LIMITED_RULES = 2 };

enum ps_name_sizes { PS_NAME_MAX = 253 }; /* octets of a name as text, no final dot (RFC 1035, 2.3.4) */

/*
 * names: LPM trie. `name` is lower-case ASCII, reversed as a string, dots kept: "moc.elpmaxe".
 *   exact   example.com     "moc.elpmaxe" NUL   prefixlen (2 + n + 1) * 8
 *   below   *.example.com   "moc.elpmaxe."      prefixlen (2 + n + 1) * 8
 *   every   *               ""                  prefixlen 16
 * A query is looked up as its reversed text and a NUL with the full prefixlen. The root name is "".
 */
struct ps_name_key {
    __u32 prefixlen;
    __u16 policy;
    __u8 name[PS_NAME_MAX + 1];
} __attribute__((packed));
PS_ASSERT_SIZE(ps_name_key, 260);

struct ps_cidr4_key {
    __u32 prefixlen; /* 16 + bits of the address */
    __u16 policy;
    __u8 address[4];
} __attribute__((packed));
PS_ASSERT_SIZE(ps_cidr4_key, 10);

struct ps_cidr6_key {
    __u32 prefixlen;
    __u16 policy;
    __u8 address[16];
} __attribute__((packed));
PS_ASSERT_SIZE(ps_cidr6_key, 22);

/* What a name or an address stands for; the longest key's value already holds what covers it. */
struct ps_match {
    __u64 rule_set;    /* of the ports trie; 0 = none */
    __u64 private_set; /* the same for addresses that are private; 0 = such are not learned */
    __u64 rule;        /* the rule that decides `verdict` */
    __u8 verdict;      /* of the name asked for, or of the address as a whole: see compile.h */
    __u8 pad[7];
};
PS_ASSERT_SIZE(ps_match, 32);

/* ports: LPM trie, rule set + protocol + port prefix -> rule. ICMP and ICMPv6 have port 0. */
struct ps_port_key {
    __u32 prefixlen; /* bits of rule_set, protocol and port_be that count */
    __u64 rule_set;
    __u8 protocol; /* IPPROTO_* */
    __u8 port_be[2];
} __attribute__((packed));
PS_ASSERT_SIZE(ps_port_key, 15);

struct ps_port_rule {
    __u64 rule;
    __u8 verdict; /* PS_ALLOW or PS_DENY */
    __u8 pad[7];
};
PS_ASSERT_SIZE(ps_port_rule, 16);

/* resolvers: HASH -> __u8 1. */
struct ps_resolver_key {
    __u8 address[16];
    __u16 policy;
    __u16 pad;
};
PS_ASSERT_SIZE(ps_resolver_key, 20);

#ifdef __cplusplus
} // namespace penstock::abi
#endif
