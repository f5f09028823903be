/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The boundary between the BPF programs and the daemon: every struct, enum, limit, reason and event
 * that crosses it, once. Compiles as BPF C and as C++20 (there in namespace penstock::abi).
 *
 * Rules: fixed-width types; every padding byte is a named field and is zero (keys are compared as
 * bytes); addresses are 16 octets in network order, IPv4 as ::ffff:a.b.c.d; ports are host order
 * unless the name ends in _be; times are nanoseconds of CLOCK_MONOTONIC; a change of any layout or
 * meaning raises PS_ABI_VERSION, which decides whether pinned maps are adopted. But `sockets`, which only programs
 * read, may get new meanings that programs before and after take safely.
 */
#pragma once

#include "flow_row.h"
#include "layout.h"
#include "limit.h"
#include "reason.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

enum ps_capacities {
    PS_ABI_VERSION = 5,
    PS_SLOTS = 16384,             /* containers at one time */
    PS_POLICIES = 32768,          /* compiled policies at one time, old and new while they change */
    PS_LEVELS = 32,               /* cgroup depth at which a row may stand: 0..31 */
    PS_NAME_MAX = 253,            /* octets of a name as text, no final dot (RFC 1035, 2.3.4) */
    PS_NAMES_PER_ADDRESS = 8,     /* names of one container that may share one learned address */
    PS_DNS_MESSAGES = 8,          /* whole messages in one TCP segment to port 53 */
    PS_DNS_TCP_TIMEOUT_MS = 3000, /* unacknowledged octets on a connection to a resolver */
    PS_ANSWER_MAX = 4096,         /* octets of an answer that are read */
    PS_ANSWER_RECORDS = 128,      /* records of an answer that are read */
    PS_TTL_MAX_S = 604800,        /* a learned address lives a week at most (RFC 8767, 4) */
    PS_QUERY_LIFETIME_S = 30,     /* an answer later than this teaches nothing */
    PS_UDP_REPLY_S = 120,         /* a UDP peer that wrote to us may be answered this long */
    PS_SCRATCH_SLOTS = 8,         /* nesting depth of programs on one CPU */
    PS_CELLS = 131072,            /* counter rows of all containers together */
    PS_LIMITS = 65536,            /* limits of all policies together, of their rules too */
    PS_BUDGETS = 65536,           /* what all containers together have spent of them */
    PS_FLOWS = 32768,             /* rows of the flow log, of all containers together */
    PS_BIRTH_ENTRIES = 8192,      /* birth patterns, and paths that policies select */
    PS_BIRTH_SUFFIX_MAX = 24,     /* octets after the wildcard of a selected path */
    PS_BIRTH_PATTERN_MAX = 251,   /* octets of a path or name prefix in the birth trie */
};

/* Slots and policies with a fixed meaning. A binding of 0 is "unbound" and denies. */
enum ps_fixed_slot { PS_SLOT_OVERFLOW = 0, PS_SLOT_GONE = 1, PS_SLOT_FIRST = 2 };
enum ps_fixed_policy {
    PS_POLICY_UNBOUND = 0,
    PS_POLICY_BIRTH_DENY = 1,
    PS_POLICY_BIRTH_ALLOW = 2,
    PS_POLICY_BIRTH_AUDIT = 3,
    PS_POLICY_FIRST = 16,
};

enum ps_mode {
    PS_MODE_ENFORCE = 1,
    PS_MODE_AUDIT = 2, /* judge, count "would deny", let pass */
    PS_MODE_OPEN = 3,  /* let pass unjudged, learn: a container whose policy is not known yet */
};

enum ps_verdict {
    PS_NONE = 0, /* nothing matched (a match); a thing noticed, no packet decided (a counter) */
    PS_ALLOW = 1,
    PS_DENY = 2,
    PS_WOULD_DENY = 3, /* audit mode */
    PS_UNTOLD = 4,     /* a counter: a denial whose event the container's budget or a full ring swallowed */
};

enum ps_direction { PS_EGRESS = 0, PS_INGRESS = 1 };

enum ps_hook {
    PS_HOOK_NONE = 0,
    PS_HOOK_EGRESS = 1,
    PS_HOOK_INGRESS = 2,
    PS_HOOK_CONNECT = 3,
    PS_HOOK_SENDMSG = 4,
    PS_HOOK_SOCK_CREATE = 5,
    PS_HOOK_LSM = 6,
    PS_HOOK_BIRTH = 7,
    PS_HOOK_SOCKOPT = 8,
};

/* ---- the gate: one element, written by the daemon before anything is attached ---- */

struct ps_gate {
    __u32 abi_version;
    __u32 level_mask; /* bit n: some row stands at cgroup level n */
    __u64 root_id;    /* cgroup id of the gate root */
    __u32 root_level;
    __u32 next_serial;      /* of rows; raised atomically by both sides */
    __u64 hash_seed;        /* of names; random, made once, so that collisions cannot be prepared */
    __u32 learned_per_slot; /* caps of one container; a power of two each */
    __u32 queries_per_slot;
    __u32 udp_peers_per_slot;
    __u32 domains_per_slot;
    __u64 events_lost;   /* ring full; raised atomically */
    __u64 counters_lost; /* counter map full; raised atomically */
    __u64 births_lost;   /* no free slot: the overflow slot was given */
    __u64 scratch_lost;  /* no free scratch: a packet was denied */
    __u32 next_cell;     /* of `cells` that nobody had yet; those given back are in free_cells */
    __u32 next_budget;   /* the same of `budgets` and free_budgets */
    __u32
        name_rows_per_slot; /* counter rows of learned names that one container may have; then PS_NAME_OTHER */
    __u32 next_flow;        /* the same of `flows` and free_flows */
    __u32 flows_per_slot;   /* rows of the flow log that one container may have */
    __u32 pad;
    __u64 event_cost_ns;  /* a container may tell one event in this time; 0: as many as it likes */
    __u64 event_burst_ns; /* after this long without any it may tell burst / cost at once */
};
PS_ASSERT_SIZE(ps_gate, 120);
PS_ASSERT_OFFSET(ps_gate, event_cost_ns, 104); /* tests/lab/pinned.py knows it */

/* ---- identity ---- */

/* containers: HASH cgroup id -> ps_row. */
struct ps_row {
    __u32 slot;
    __u32 flags; /* PS_ROW_* */
};
PS_ASSERT_SIZE(ps_row, 8);
enum ps_row_flags { PS_ROW_STRICT_ROOT = 1 }; /* cgroups made under it become containers of their own */

/* slots: ARRAY, mmapable. The daemon flips a policy by one atomic 8-octet store to `binding`. */
struct ps_slot {
    __u64 binding; /* PS_BINDING(generation, policy); 0 = unbound */
    __u64 cgroup_id;
    __u32 serial; /* of the row; tells a slot's tenants apart */
    __u32 flags;  /* PS_SLOT_* */
    __u64 born_ns;
    __u32 recount; /* raised when counter rows went: what sockets remember of them is void */
    __u32 pad;
};
PS_ASSERT_SIZE(ps_slot, 40);
enum ps_slot_flags {
    PS_SLOT_USED = 1,
    PS_SLOT_BORN = 2,     /* row written by the birth program */
    PS_SLOT_DYING = 4,    /* cgroup removed, sockets may live */
    PS_SLOT_RELEASED = 8, /* last socket gone, row deleted: the daemon may reuse the slot */
};
#define PS_BINDING(generation, policy) ((PS_CAST(__u64, generation) << 32) | PS_CAST(__u16, policy))
#define PS_BINDING_POLICY(binding) PS_CAST(__u16, binding)
#define PS_BINDING_GENERATION(binding) PS_CAST(__u32, (binding) >> 32)

/* birth: LPM trie, prefix of a path below the cgroup mount or of a cgroup's own name -> what its row is bound to. */
struct ps_birth_key {
    __u32 prefixlen; /* bits of kind and text */
    __u8 kind;       /* PS_BIRTH_* */
    __u8 text[PS_BIRTH_PATTERN_MAX];
};
PS_ASSERT_SIZE(ps_birth_key, 256);
/* PS_BIRTH_SELECTED: a path that policies select, known before it is made; its 0 octet belongs to one without wildcard. */
enum ps_birth_kind { PS_BIRTH_PATH = 1, PS_BIRTH_NAME = 2, PS_BIRTH_SELECTED = 3 };
struct ps_birth {
    __u16 policy; /* PATH, NAME: PS_POLICY_BIRTH_*; SELECTED: of what selects it, or 0: not certain */
    __u8 level;   /* SELECTED: of the only cgroups it holds for; 0: of any */
    __u8 literal; /* SELECTED: no wildcard, so a slice is meant too */
    __u8 least;   /* SELECTED: octets that prefix and suffix take at the least */
    __u8 suffix_length;
    __u8 suffix[PS_BIRTH_SUFFIX_MAX];
};
PS_ASSERT_SIZE(ps_birth, 30);

/* ---- policy ---- */

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
enum ps_limited {
    PS_LIMITED_CONTAINER = 1,
    PS_LIMITED_RULES = 2
}; /* limits has entries of it: rule 0; of rules */

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

/* ---- learned state, per container ---- */

/*
 * What is learned holds in the network namespace it was learned in: `netns` is the low half of its cookie. In one of its
 * own making the container is whoever it likes.
 */
struct ps_address_key {
    __u8 address[16];
    __u32 slot;
    __u32 netns;
};
PS_ASSERT_SIZE(ps_address_key, 24);

struct ps_learned_name {
    __u64 name_hash; /* key into domains with the slot; 0 = free */
    __u64 expires_ns;
    __u64 rule_set;   /* of the generation below; 0 = the name is allowed no more */
    __u32 generation; /* not the binding's: judge the name again; 0 while it changes */
    __u32 flags;      /* PS_LEARNED_* */
};
PS_ASSERT_SIZE(ps_learned_name, 32);

/* Learned while nothing was enforced, from a resolver that could be the container itself: no enforcing policy takes it. */
enum ps_learned_flags { PS_LEARNED_UNPROVEN = 1 };

/* learned: HASH ps_address_key -> ps_learned. Entries are changed in place, field by field. */
struct ps_learned {
    struct ps_learned_name names[PS_NAMES_PER_ADDRESS];
    __u32 ring_position;
    __u32 is_private;
};
PS_ASSERT_SIZE(ps_learned, 264);

/* domains: HASH, the text of names that taught an address, as in ps_name_key. */
struct ps_domain_key {
    __u64 name_hash;
    __u32 slot;
    __u32 pad;
};
PS_ASSERT_SIZE(ps_domain_key, 16);
struct ps_domain {
    __u32 ring_position;
    __u16 pad;
    __u16 length;
    __u8 reversed[PS_NAME_MAX + 3];
};
PS_ASSERT_SIZE(ps_domain, 264);

struct ps_query_key {
    __u8 resolver[16];
    __u32 slot;
    __u16 local_port;
    __u16 id;
    __u8 protocol;
    __u8 pad[3];
    __u32 netns;
};
PS_ASSERT_SIZE(ps_query_key, 32);
struct ps_query {
    __u64 name_hash;
    __u64 sent_ns;
    __u64 rule_set;
    __u64 private_set;
    __u32 generation;
    __u32 min_ttl_s;
    __u32 ring_position;
    __u16 type;
    __u16 flags; /* PS_LEARNED_* of what the answer teaches */
};
PS_ASSERT_SIZE(ps_query, 48);

/* udp_peers: HASH, who opened a UDP conversation. */
struct ps_udp_peer_key {
    __u8 peer[16];
    __u32 slot;
    __u16 local_port;
    __u16 peer_port;
    __u32 netns;
};
PS_ASSERT_SIZE(ps_udp_peer_key, 28);
struct ps_udp_peer {
    __u64 last_ns;   /* last packet of the side that opened it */
    __u64 name_hash; /* ours: the learned name that allowed it; it outlives the name's expiry */
    __u64 rule;      /* ours: the rule that allowed it; answers are counted and charged by it, too */
    __u32 ring_position;
    __u32 opened_by_us; /* 1: answers of the peer give it no right to be answered */
};
PS_ASSERT_SIZE(ps_udp_peer, 32);

/* rings: HASH {map, slot, position} -> the key that stands there, so that a container's oldest goes first. */
enum ps_ring_kind { PS_RING_LEARNED = 1, PS_RING_QUERIES = 2, PS_RING_UDP_PEERS = 3, PS_RING_DOMAINS = 4 };
struct ps_ring_key {
    __u32 slot;
    __u32 position;
    __u32 kind;
};
PS_ASSERT_SIZE(ps_ring_key, 12);
struct ps_ring_entry {
    __u8 key[32];
};
PS_ASSERT_SIZE(ps_ring_entry, 32);
/* heads: ARRAY by slot, mmapable: how often each of the container's rings was written. */
struct ps_heads {
    __u32 head[8]; /* by ps_ring_kind, and ps_head: rows it has */
};
enum ps_head { PS_HEAD_NAME_ROWS = 0, PS_HEAD_FLOWS = 5 };
PS_ASSERT_SIZE(ps_heads, 32);

/*
 * sockets: SK_STORAGE, TCP and connected UDP. What an open flow was allowed by, and where it is counted. UDP sockets may be
 * used on several CPUs at once: `flow` is looked at before the rest is read and once more before it is used. What an older
 * program left is safe: 0 in a field that it did not know, and without the marks of a charge all is looked at.
 */
struct ps_socket {
    __u64 flow;      /* hash of the allowed flow, its slot, serial and binding; 0: none; 1: being written */
    __u64 name_hash; /* the learned name that allowed the flow, 0 if a CIDR did */
    __u64 rule;
    __u64 container, by_rule; /* charges: see limiter__find; 0: not limited */
    __u64 judged_ns;          /* UDP: when the rules and the peer were last looked at */
    __u8 remote[16];          /* of the flow all this is said of: a socket may connect again elsewhere */
    __u32 slot;
    __u32 serial; /* 0: no verdict yet */
    __u16 remote_port;
    __u16 local_port;
    __u8 accepted; /* others opened it */
    __u8 admitted; /* connect() was charged as a connection: its SYN is not */
    __u8 protocol; /* of the socket */
    __u8 pad;
    __u32 egress_cell, ingress_cell; /* of `cells`, plus 1; 0: none */
    __u32 paced_window;              /* of pace.h, in which it was last counted among those that send */
    __u32 flow_row;                  /* of `flows`, plus 1; 0: not logged */
};
PS_ASSERT_SIZE(ps_socket, 96);

/* ---- what leaves the kernel ---- */

/* counters: HASH -> index of cells, a PERCPU_ARRAY of ps_counter: an open flow counts without a hash look-up. */
struct ps_counter_key {
    __u64 rule;      /* 0 = no rule */
    __u64 name_hash; /* the learned name that allowed it, PS_NAME_OTHER, or 0 */
    __u32 slot;
    __u8 direction;
    __u8 verdict;
    __u8 reason;
    __u8 pad;
};
PS_ASSERT_SIZE(ps_counter_key, 24);
/* Names that are no hash. RETIRING and on: rows of names that make room, on their way to OTHER (retire.bpf.c). */
enum ps_fixed_name {
    PS_NAME_OTHER = 1,
    PS_NAME_RETIRING = 2,
    PS_NAME_FIRST_HASH = 256,
    PS_NAMES_RETIRING = 254, /* at one time, of alike rows */
};
struct ps_counter {
    __u64 packets; /* of a noticed thing: how often */
    __u64 bytes;   /* IP octets, every segment's headers counted */
};
PS_ASSERT_SIZE(ps_counter, 16);

/* What the daemon runs ps_retire with, as a packet's first octets; ps_fold takes the key alone. */
struct ps_retire {
    struct ps_counter_key key;
    __u32 number; /* which of PS_NAMES_RETIRING it becomes */
    __u32 pad;
};
PS_ASSERT_SIZE(ps_retire, 32);

enum ps_event_kind {
    PS_EVENT_DENIED = 1,
    PS_EVENT_BORN = 2,
    PS_EVENT_DYING = 3,
    PS_EVENT_RELEASED = 4,
    PS_EVENT_QUOTA = 5, /* `length` per cent of a quota are spent: 80, 100 */
};
/* tellers: ARRAY by slot, the bucket of gate.event_cost_ns. */
struct ps_teller {
    __u64 full_ns;
};
PS_ASSERT_SIZE(ps_teller, 8);
struct ps_event {
    __u64 time_ns;
    __u64 cgroup_id;
    __u64 rule;
    __u32 slot;
    __u32 serial;
    __u32 generation; /* of the policy that judged */
    __u32 length;     /* IP octets */
    __u8 kind;
    __u8 hook;
    __u8 direction;
    __u8 verdict;
    __u8 reason;
    __u8 protocol;
    __u16 query_type;
    __u16 local_port;
    __u16 remote_port;
    __u8 local[16];
    __u8 remote[16];
    __u32 pid;     /* of the task that asked, where the hook knows it: not of a packet */
    char comm[16]; /* its name, as it likes to be called */
    __u16 name_length;
    __u8 name[PS_NAME_MAX + 1]; /* denied: the name asked for, reversed as in ps_name_key; born: path's end */
};
PS_ASSERT_SIZE(ps_event, 360);

#ifdef __cplusplus
} // namespace penstock::abi
#endif
