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
    const char *loss; // of the optional ones
};

inline constexpr std::array<Family, 2> optional_families{{
    {BPF_PROG_TYPE_LSM, "socket-families",
     "packet sockets and other families that no IP hook sees are not refused: take CAP_NET_RAW from "
     "containers"},
    {BPF_PROG_TYPE_RAW_TRACEPOINT, "birth",
     "no birth verdict: what a container sends before the daemon has seen it is not judged"},
}};

inline constexpr std::array<Family, 5> needed_families{{
    {BPF_PROG_TYPE_CGROUP_SKB, "packet-gate", ""},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "early-errors", ""},
    {BPF_PROG_TYPE_CGROUP_SOCK, "raw-sockets", ""},
    {BPF_PROG_TYPE_CGROUP_SOCKOPT, "source-options", ""},
    {BPF_PROG_TYPE_SOCK_OPS, "replies", ""},
}};

inline Feature lost(const Family &family, const std::string &why) {
    return {family.feature, Feature::State::off, std::string(family.loss) + " (" + why + ")"};
}

} // namespace penstock::kernel
