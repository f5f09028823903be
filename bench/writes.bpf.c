/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counts the map elements that processes of one cgroup write or delete by bpf(2): what a change of policy costs. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 cgroup = 0;
const volatile __u64 number_of_bpf = 0; /* of the system call; these differ by architecture */
const volatile __u32 first_argument = 0, second_argument = 0; /* where the saved registers hold them */
__u64 writes = 0;

static __always_inline __u64 argument(const void *registers, __u32 offset) {
    __u64 value = 0;

    bpf_probe_read_kernel(&value, sizeof(value), registers + offset);
    return value;
}

SEC("raw_tp/sys_enter")
int count_writes(struct bpf_raw_tracepoint_args *ctx) {
    const void *registers = (const void *)ctx->args[0];
    union bpf_attr *attributes;
    __u32 command, count = 1;

    if (ctx->args[1] != number_of_bpf || bpf_get_current_cgroup_id() != cgroup)
        return 0;
    command = (__u32)argument(registers, first_argument);
    if (command == BPF_MAP_UPDATE_BATCH || command == BPF_MAP_DELETE_BATCH) {
        attributes = (union bpf_attr *)argument(registers, second_argument);
        bpf_probe_read_user(&count, sizeof(count), &attributes->batch.count);
    } else if (command != BPF_MAP_UPDATE_ELEM && command != BPF_MAP_DELETE_ELEM) {
        return 0;
    }
    __sync_fetch_and_add(&writes, count);
    return 0;
}
