/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Socket families outside an allow-list: packet sockets, vsock, XDP and whatever else has its own way out, none of
 * which the IP hooks see. Works only where "bpf" is in the kernel's active LSM list.
 */
#include "lib/verdict.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define LSM_REFUSE 0 /* EPERM */
#define LSM_PASS 1

/* AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, and AF_ALG, which leads nowhere. */
static __always_inline int lsm__family_is_listed(int family) {
    return family == 1 || family == 2 || family == 10 || family == 16 || family == 38;
}

SEC("lsm_cgroup/socket_create")
int ps_lsm_socket(__u64 *ctx) /* family, type, protocol, kern */
{
    struct flow f = {.direction = PS_EGRESS, .hook = PS_HOOK_LSM};
    struct decision d = {.scratch = PS_SCRATCH_NONE};
    struct identity me = {};
    int family = (int)ctx[0], kern = (int)ctx[3];

    if (kern || lsm__family_is_listed(family) || !identity__of_task(&me))
        return LSM_PASS;
    f.protocol = (__u8)family;
    if (verdict__begin_task(&d, &f, &me))
        decision__deny(&d, PS_R_SOCKET_FAMILY, 0);
    return verdict__settle(&d, &f, &me) ? LSM_PASS : LSM_REFUSE;
}
