// SPDX-License-Identifier: Apache-2.0
// The families of programs, what each is called in `features`, and what is lost without it.
#pragma once

#include "userspace/kernel/features.h"

#include <array>
#include <bpf/libbpf.h>
#include <string>

namespace penstock::kernel {

struct Family {
    bpf_prog_type type;
    const char *feature;
    const char *loses;
};

inline constexpr std::array<Family, 2> optional_families{{
    {BPF_PROG_TYPE_LSM, "socket-families",
     "packet sockets and other families that no IP hook sees are not refused at socket(): take CAP_NET_RAW "
     "from containers"},
    {BPF_PROG_TYPE_RAW_TRACEPOINT, "birth",
     "what a container sends before the daemon has seen it is not judged"},
}};

// Without these no gate opens.
inline constexpr std::array<Family, 5> needed_families{{
    {BPF_PROG_TYPE_CGROUP_SKB, "packet-gate", "packets are not judged and names are not learned"},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "early-errors", "a denied connect() hangs instead of failing at once"},
    {BPF_PROG_TYPE_CGROUP_SOCK, "raw-sockets", "raw IP sockets are not refused at socket()"},
    {BPF_PROG_TYPE_CGROUP_SOCKOPT, "source-options", "sockets may take addresses that are not the host's"},
    {BPF_PROG_TYPE_SOCK_OPS, "replies", "answers to what others opened are judged as if the container had"},
}};

inline Feature lost(const Family &family, const std::string &why) {
    return {family.feature, Feature::State::off, why, family.loses};
}

} // namespace penstock::kernel
