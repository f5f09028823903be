/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All maps. Each is pinned under its name by the loader; sizes are the largest the daemon will ask for and
 * may be lowered before loading. Nothing here is per program. The definitions are weak because each object
 * that is linked into the one skeleton carries them.
 */
#pragma once

#include "abi.h"
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

/* One element: what the daemon says about the machine, and what both sides count. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE); /* the daemon changes fields while programs count in others */
    __type(key, __u32);
    __type(value, struct ps_gate);
} gate SEC(".maps") __weak;

/* ---- identity ---- */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 32768); /* more than slots: rows of the dying point to PS_SLOT_GONE */
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, __u64);
    __type(value, struct ps_row);
} containers SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_SLOTS);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct ps_slot);
} slots SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, PS_SLOTS);
    __uint(value_size, sizeof(__u32));
} free_slots SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, PS_BIRTH_ENTRIES);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_birth_key);
    __type(value, struct ps_birth);
} birth SEC(".maps") __weak;

/* ---- policy ---- */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_POLICIES);
    __type(key, __u32);
    __type(value, struct ps_policy);
} policies SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 4194304);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_name_key);
    __type(value, struct ps_match);
} names SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1048576);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_cidr4_key);
    __type(value, struct ps_match);
} cidrs4 SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1048576);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_cidr6_key);
    __type(value, struct ps_match);
} cidrs6 SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 1048576);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_port_key);
    __type(value, struct ps_port_rule);
} ports SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_resolver_key);
    __type(value, __u8);
} resolvers SEC(".maps") __weak;

/* ---- limits ---- */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PS_LIMITS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_limits_key);
    __type(value, __u32);
} limit_ids SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_LIMITS);
    __type(key, __u32);
    __type(value, struct ps_limits);
} limits SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PS_BUDGETS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_budget_key);
    __type(value, __u32);
} budget_ids SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_BUDGETS);
    __uint(map_flags, BPF_F_MMAPABLE); /* the daemon grants and resets while programs count */
    __type(key, __u32);
    __type(value, struct ps_budget);
} budgets SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, PS_BUDGETS);
    __uint(value_size, sizeof(__u32));
} free_budgets SEC(".maps") __weak;

/*
 * ---- learned state ----
 * Capped per container by `rings`, so no container evicts another's. The sizes hold 256 containers that fill
 * their default caps at once; memory is taken per entry that is there.
 */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 262144);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_address_key);
    __type(value, struct ps_learned);
} learned SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 262144);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_domain_key);
    __type(value, struct ps_domain);
} domains SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 131072);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_query_key);
    __type(value, struct ps_query);
} queries SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 131072);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_udp_peer_key);
    __type(value, struct ps_udp_peer);
} udp_peers SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1048576);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_ring_key);
    __type(value, struct ps_ring_entry);
} rings SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_SLOTS);
    __uint(map_flags, BPF_F_MMAPABLE); /* the daemon gives rows back while programs take them */
    __type(key, __u32);
    __type(value, struct ps_heads);
} heads SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct ps_socket);
} sockets SEC(".maps") __weak;

/* ---- what leaves the kernel ---- */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PS_CELLS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_counter_key);
    __type(value, __u32);
} counters SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PS_CELLS);
    __type(key, __u32);
    __type(value, struct ps_counter);
} cells SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, PS_CELLS);
    __uint(value_size, sizeof(__u32));
} free_cells SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_SLOTS);
    __type(key, __u32);
    __type(value, struct ps_teller);
} tellers SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, PS_FLOWS);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct ps_flow_key);
    __type(value, __u32);
} flow_ids SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PS_FLOWS);
    __uint(map_flags, BPF_F_MMAPABLE); /* the daemon reads and frees while programs count */
    __type(key, __u32);
    __type(value, struct ps_flow);
} flows SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, PS_FLOWS);
    __uint(value_size, sizeof(__u32));
} free_flows SEC(".maps") __weak;

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4194304);
} events SEC(".maps") __weak;

/* Births and deaths, apart from denials: a container that floods one must not hide another's birth. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1048576);
} births SEC(".maps") __weak;

struct birth_room {
    struct ps_birth_key key;
    __u64 slack; /* an index masked to 255 stays inside */
};

/* Where the birth program builds its keys: mkdir holds the cgroup mutex, so there is one at a time. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct birth_room);
} birth_room SEC(".maps") __weak;

struct tick_clock {
    __u64 tick; /* of the kernel's timer */
    __u64 monotonic_ns, boot_ns;
};

/* clock.h's */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct tick_clock);
} tick_clocks SEC(".maps") __weak;
