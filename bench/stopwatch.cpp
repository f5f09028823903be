// SPDX-License-Identifier: Apache-2.0
#include "bench/stopwatch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace penstock::bench {

namespace {

[[noreturn]] void fail(const std::string &what, int error) {
    throw std::runtime_error(what + ": " + std::strerror(error));
}

} // namespace

Ran run(int program, const Octets &frame, unsigned ifindex, int repeat) {
    __sk_buff context{};
    context.ifindex = ifindex;
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<std::uint32_t>(frame.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof context;
    options.repeat = repeat;
    if (bpf_prog_test_run_opts(program, &options))
        fail("BPF_PROG_TEST_RUN", errno);
    return {static_cast<double>(options.duration), (options.retval & 1) != 0};
}

RunCount run_count(int program) {
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(program, &info, &size))
        fail("read a program's statistics", errno);
    return {info.run_time_ns, info.run_cnt};
}

Statistics::Statistics() : fd_(bpf_enable_stats(BPF_STATS_RUN_TIME)) {
    if (fd_ < 0)
        fail("switch BPF statistics on", errno);
}

Statistics::~Statistics() {
    close(fd_);
}

} // namespace penstock::bench
