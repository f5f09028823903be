/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which cgroups are containers, what each is bound to, and what one is born with: part of abi.h, and under its rules. */
#pragma once

#include "layout.h"

#ifdef __cplusplus
namespace penstock::abi {
#endif

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

enum ps_birth_sizes {
    PS_BIRTH_SUFFIX_MAX = 24,   /* octets after the wildcard of a selected path */
    PS_BIRTH_PATTERN_MAX = 251, /* octets of a path or name prefix in the birth trie */
};
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

#ifdef __cplusplus
} // namespace penstock::abi
#endif
