// SPDX-License-Identifier: Apache-2.0
/* The limiter as the kernel gets it, built for the host; and how a test reaches its maps. */
#include "lib/limiter.h"

#include "limiter_host.h"

_Static_assert(LIMITER_HOST_OPENS == LIMITER_OPENS, "one flag");

void limiter_host__limit(__u16 policy, __u64 rule, __u32 place, const struct ps_limits *l) {
    struct ps_limits_key key = {.rule = rule, .policy = policy};
    __u32 index = place;

    bpf_map_update_elem(&limits, &index, l, 0);
    bpf_map_update_elem(&limit_ids, &key, &index, 0);
}

struct ps_budget *limiter_host__budget(__u32 slot, __u64 rule) {
    struct ps_budget_key key = {.rule = rule, .slot = slot};
    const __u32 *index = bpf_map_lookup_elem(&budget_ids, &key);

    return index ? bpf_map_lookup_elem(&budgets, index) : 0;
}

__u32 *limiter_host__next_budget(void) {
    return &identity__gate()->next_budget;
}

void limiter_host__give_back_budget(__u32 number) {
    bpf_map_push_elem(&free_budgets, &number, 0);
}
