/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a look at the clock costs here: every rate needs one for each packet. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

volatile __u64 seen;

SEC("cgroup_skb/egress")
int clock_egress(struct __sk_buff *skb) {
    (void)skb;
    seen = bpf_ktime_get_ns();
    return 1;
}
