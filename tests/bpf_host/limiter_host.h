// SPDX-License-Identifier: Apache-2.0
/* bpf/lib/limiter.h on the host, with a clock that the test sets, for C and C++. */
#pragma once

#include "bpf/abi.h"

#ifdef __cplusplus
using namespace penstock::abi;
extern "C" {
#endif

/* Of limiter.h itself. */
__u64 limiter__find(__u32 slot, __u32 policy, __u64 rule);
__u32 limiter__charge(__u64 container, __u64 by_rule, __u32 how, __u32 octets, __u32 packets);
__u32 limiter__one_of_both(__u64 container, __u64 by_rule, __u32 kind);
int limiter__is_spent(__u64 charge);

void limiter_host__limit(__u16 policy, __u64 rule, __u32 place, const struct ps_limits *l);
struct ps_budget *limiter_host__budget(__u32 slot, __u64 rule); /* null: nothing was ever charged */
__u32 *limiter_host__next_budget(void);
void limiter_host__give_back_budget(__u32 number);

#define LIMITER_HOST_OPENS 2U /* LIMITER_OPENS, whose header C++ does not see */

#ifdef __cplusplus
}
#endif
