/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Birth and death of cgroups. A cgroup that looks like a container gets its row when mkdir(2) is still running,
 * before any process can be in it, whether the daemon lives or not: bound to its policies where a selector names its
 * path, else to a birth verdict. rmdir marks the row, the release of the last reference deletes it: until then a socket may
 * carry the cgroup's id, and must not become nobody's.
 */
#include "lib/event.h"
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "Dual BSD/GPL";

/* The fields that are read, found by CO-RE in the running kernel's own layout. */
struct kernfs_node {
    __u64 id;
    const char *name;
} __attribute__((preserve_access_index));
struct cgroup_root {
    int hierarchy_id;
} __attribute__((preserve_access_index));
struct cgroup {
    int level;
    struct kernfs_node *kn;
    struct cgroup_root *root;
    struct cgroup *ancestors[];
} __attribute__((preserve_access_index));

static __always_inline __u64 birth__ancestor(struct cgroup *cgrp, __u32 level) {
    struct cgroup *ancestor = 0;

    bpf_probe_read_kernel(&ancestor, sizeof(ancestor), &cgrp->ancestors[level]);
    return ancestor ? BPF_CORE_READ(ancestor, kn, id) : 0;
}

/* Below the gate root, in the cgroup v2 hierarchy (id 0). */
static __always_inline int birth__is_ours(struct cgroup *cgrp, const struct ps_gate *g) {
    if (BPF_CORE_READ(cgrp, root, hierarchy_id) || BPF_CORE_READ(cgrp, level) <= (int)g->root_level)
        return 0;
    return birth__ancestor(cgrp, g->root_level & (PS_LEVELS - 1)) == g->root_id;
}

enum { BIRTH_FREE, BIRTH_STRICT, BIRTH_INSIDE };

/* Is it inside a container already, or under a strict root, whose policy then goes to `policy`? */
static __always_inline int birth__place(struct cgroup *cgrp, const struct ps_gate *g, __u16 *policy) {
    __u32 mask = g->level_mask, level = BPF_CORE_READ(cgrp, level);
    int place = BIRTH_FREE;

    for (__u32 i = 0; i < PS_LEVELS; i++) {
        const struct ps_row *row;
        const struct ps_slot *slot;
        __u64 id;

        if (i >= level || !(mask & (1U << i)))
            continue;
        id = birth__ancestor(cgrp, i);
        row = bpf_map_lookup_elem(&containers, &id);
        if (!row)
            continue;
        if (!(row->flags & PS_ROW_STRICT_ROOT))
            return BIRTH_INSIDE; /* what a container makes inside itself stays part of it */
        slot = bpf_map_lookup_elem(&slots, &row->slot);
        place = BIRTH_STRICT;
        *policy = slot ? PS_BINDING_POLICY(slot->binding) : PS_POLICY_BIRTH_DENY;
    }
    return place;
}

/* Does the text of `length` octets end in the `n` octets of `tail`? */
static __always_inline int birth__ends_in(const __u8 *text, __u32 length, const __u8 *tail, __u32 n) {
    if (length < n || length > PS_BIRTH_PATTERN_MAX)
        return 0;
    for (__u32 i = 0; i < PS_BIRTH_SUFFIX_MAX; i++)
        if (i < n && text[(length - n + i) & 0xff] != tail[i])
            return 0;
    return 1;
}

#define BIRTH_INNER 0xffff

/*
 * What its row is bound to: the policies that select its path, where the daemon knew them beforehand; else the birth
 * policy that `strict` or the patterns give. 0: it gets no row; BIRTH_INNER: nor what it is a part of, a slice.
 */
static __always_inline __u16 birth__policy(struct ps_birth_key *key, struct cgroup *cgrp, __u32 level,
                                           const char *path, __u16 strict) {
    static const __u8 slice[PS_BIRTH_SUFFIX_MAX] = ".slice";
    const struct ps_birth *found, *named;
    int is_slice;
    long n;

    key->prefixlen = sizeof(key->kind) * 8 + sizeof(key->text) * 8;
    key->kind = PS_BIRTH_SELECTED;
    n = bpf_probe_read_kernel_str(key->text, sizeof(key->text), path);
    if (n <= 1)
        return strict;
    n--;
    is_slice = birth__ends_in(key->text, (__u32)n, slice, 6);
    found = n < PS_BIRTH_PATTERN_MAX - 1 ? bpf_map_lookup_elem(&birth, key) : 0; /* else it may be cut */
    if (found && found->policy && (!found->level || found->level == level) && (found->literal || !is_slice) &&
        n >= found->least && birth__ends_in(key->text, (__u32)n, found->suffix, found->suffix_length))
        return found->policy;
    if (is_slice)
        return BIRTH_INNER; /* what is made below it may be a container */
    if (strict)
        return strict; /* its own verdict holds, whatever the name */
    key->kind = PS_BIRTH_PATH;
    found = bpf_map_lookup_elem(&birth, key);
    key->kind = PS_BIRTH_NAME;
    bpf_probe_read_kernel_str(key->text, sizeof(key->text), BPF_CORE_READ(cgrp, kn, name));
    named = bpf_map_lookup_elem(&birth, key); /* a name goes before a path */
    if (named)
        found = named;
    return found ? found->policy : 0;
}

static __always_inline void birth__tell(__u8 kind, __u64 id, __u32 slot, const char *path) {
    struct ps_event *e = event__reserve(&births, kind);
    long n;

    if (!e)
        return;
    e->hook = PS_HOOK_BIRTH;
    e->cgroup_id = id;
    e->slot = slot;
    n = bpf_probe_read_kernel_str(e->name, sizeof(e->name), path);
    e->name_length = n > 0 ? (__u16)(n - 1) : 0;
    bpf_ringbuf_submit(e, 0);
}

#define BIRTH_HAS_ROW (-17) /* EEXIST: the daemon was faster, or an older copy of this program */

/* Writes the row. Without a free slot the shared overflow slot is given, which denies. */
static __always_inline __u32 birth__write(struct ps_gate *g, __u64 id, __u32 level, __u16 policy) {
    struct ps_row row = {};
    struct ps_slot *slot;
    const struct ps_policy *p;
    __u32 policy_index = policy;
    long failed;

    if (bpf_map_pop_elem(&free_slots, &row.slot)) {
        row.slot = PS_SLOT_OVERFLOW;
        __sync_fetch_and_add(&g->births_lost, 1);
    }
    slot = bpf_map_lookup_elem(&slots, &row.slot);
    p = bpf_map_lookup_elem(&policies, &policy_index);
    if (slot && p && row.slot != PS_SLOT_OVERFLOW) {
        *(volatile __u64 *)&slot->binding = 0; /* denies while it changes hands */
        slot->cgroup_id = id;
        slot->serial = __sync_fetch_and_add(&g->next_serial, 1);
        slot->born_ns = bpf_ktime_get_ns();
        slot->flags = PS_SLOT_USED | PS_SLOT_BORN;
        *(volatile __u64 *)&slot->binding = PS_BINDING(p->generation, policy);
    }
    /* The level first: a row at a level that no walk visits would be no row. */
    if (!(g->level_mask & (1U << level)))
        __sync_fetch_and_or(&g->level_mask, 1U << level);
    failed = bpf_map_update_elem(&containers, &id, &row, BPF_NOEXIST);
    if (failed && failed != BIRTH_HAS_ROW)
        __sync_fetch_and_add(&g->births_lost, 1); /* no memory: only the daemon can give it a row now */
    if (failed && slot && row.slot != PS_SLOT_OVERFLOW) {
        *(volatile __u64 *)&slot->binding = 0;
        slot->flags = 0;
        bpf_map_push_elem(&free_slots, &row.slot, 0);
        return PS_SLOT_OVERFLOW;
    }
    return row.slot;
}

SEC("raw_tp/cgroup_mkdir")
int ps_mkdir(struct bpf_raw_tracepoint_args *ctx) {
    struct cgroup *cgrp = (struct cgroup *)ctx->args[0];
    const char *path = (const char *)ctx->args[1];
    struct ps_gate *g = identity__gate();
    __u32 level, slot, zero = 0;
    struct birth_room *room = bpf_map_lookup_elem(&birth_room, &zero);
    __u16 policy = 0;
    __u64 id;
    int place;

    if (!g || !room || !birth__is_ours(cgrp, g))
        return 0;
    id = BPF_CORE_READ(cgrp, kn, id);
    level = BPF_CORE_READ(cgrp, level);
    place = birth__place(cgrp, g, &policy);
    if (place == BIRTH_INSIDE || level >= PS_LEVELS)
        return 0; /* deeper than rows may stand: the row above holds it */
    policy = birth__policy(&room->key, cgrp, level, path, policy);
    slot = policy && policy != BIRTH_INNER ? birth__write(g, id, level, policy) : 0;
    birth__tell(PS_EVENT_BORN, id, slot, path);
    return 0;
}

static __always_inline void birth__flag(__u64 id, __u32 flag) {
    const struct ps_row *row = bpf_map_lookup_elem(&containers, &id);
    struct ps_slot *slot = row && row->slot >= PS_SLOT_FIRST ? bpf_map_lookup_elem(&slots, &row->slot) : 0;

    if (slot && slot->cgroup_id == id)
        __sync_fetch_and_or(&slot->flags, flag);
}

SEC("raw_tp/cgroup_rmdir")
int ps_rmdir(struct bpf_raw_tracepoint_args *ctx) {
    struct cgroup *cgrp = (struct cgroup *)ctx->args[0];
    const struct ps_gate *g = identity__gate();
    __u64 id;

    if (!g || !birth__is_ours(cgrp, g))
        return 0;
    id = BPF_CORE_READ(cgrp, kn, id);
    birth__flag(id, PS_SLOT_DYING);
    birth__tell(PS_EVENT_DYING, id, 0, (const char *)ctx->args[1]);
    return 0;
}

SEC("raw_tp/cgroup_release")
int ps_release(struct bpf_raw_tracepoint_args *ctx) {
    struct cgroup *cgrp = (struct cgroup *)ctx->args[0];
    const struct ps_gate *g = identity__gate();
    __u64 id;

    if (!g || !birth__is_ours(cgrp, g))
        return 0;
    id = BPF_CORE_READ(cgrp, kn, id);
    birth__flag(id, PS_SLOT_RELEASED);
    bpf_map_delete_elem(&containers, &id);
    birth__tell(PS_EVENT_RELEASED, id, 0, (const char *)ctx->args[1]);
    return 0;
}
