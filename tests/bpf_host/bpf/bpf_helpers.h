// SPDX-License-Identifier: Apache-2.0
/*
 * In the place of libbpf's header when programs are built for the host as they are, maps included: what the kernel gives
 * them is declared here and is in kernel_host.cpp. A map is known by its address; its definition says what it holds.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __weak __attribute__((weak))

struct __sk_buff;

void *host__lookup(void *map, __u32 type, __u32 entries, const void *key, size_t key_size, size_t value_size);
long host__update(void *map, __u32 type, __u32 entries, const void *key, size_t key_size, const void *value,
                  size_t value_size, __u64 flags);

#define HOST_NUMBER(field) (sizeof(*(field)) / sizeof(int))
#define bpf_map_lookup_elem(map, wanted)                                                                     \
    host__lookup(map, HOST_NUMBER((map)->type), HOST_NUMBER((map)->max_entries), wanted,                     \
                 sizeof(*(map)->key), sizeof(*(map)->value))
#define bpf_map_update_elem(map, wanted, written, flags)                                                     \
    host__update(map, HOST_NUMBER((map)->type), HOST_NUMBER((map)->max_entries), wanted,                     \
                 sizeof(*(map)->key), written, sizeof(*(map)->value), flags)

/* Stacks of numbers: the only ones there are. */
long bpf_map_push_elem(void *map, const void *value, __u64 flags);
long bpf_map_pop_elem(void *map, void *value);
long bpf_map_peek_elem(void *map, void *value);

__u64 bpf_ringbuf_query(void *ring, __u64 what);
void *bpf_ringbuf_reserve(void *ring, __u64 size, __u64 flags);
void bpf_ringbuf_submit(void *record, __u64 flags);

__u64 bpf_ktime_get_ns(void);
__u64 bpf_ktime_get_boot_ns(void);
__u64 bpf_ktime_get_coarse_ns(void);
__u64 bpf_jiffies64(void);

/* Of packets and tasks, which the host has none of: they end the test. */
long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 offset, void *to, __u32 length);
__u64 bpf_skb_ancestor_cgroup_id(struct __sk_buff *skb, int level);
__u64 bpf_get_current_ancestor_cgroup_id(int level);
