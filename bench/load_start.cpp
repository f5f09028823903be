// SPDX-License-Identifier: Apache-2.0
// A container's start as runtimes do it: mkdir of a cgroup, then clone3 into it. Its first process sends until it may not.
// (Writing to cgroup.procs instead would measure the kernel's own wait for a grace period, 20 ms now and then.)
#include "bench/load.h"
#include "userspace/base/unique_fd.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

namespace penstock::bench::load {

namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Negative: never refused.
double ms_until_refused(Clock::time_point start, const sockaddr_in &to) {
    const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    while (sendto(fd.get(), "x", 1, 0, generic(to), sizeof to) == 1 || errno != EPERM) {
        if (ms_since(start) > 10000)
            return -1;
        usleep(20); // whoever enforces may need this processor
    }
    return ms_since(start);
}

} // namespace

double ms_until_enforced(const std::string &cgroup, const std::string &denied_address) {
    const auto to = place(denied_address, 9);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        fail("pipe");
    const UniqueFd reader(ends[0]), writer(ends[1]);
    const auto start = Clock::now();
    if (mkdir(cgroup.c_str(), 0755))
        fail("mkdir " + cgroup);
    const UniqueFd directory(open(cgroup.c_str(), O_DIRECTORY | O_CLOEXEC));
    clone_args arguments{};
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<__u64>(directory.get());
    const auto child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child < 0)
        fail("clone3 into " + cgroup);
    if (child == 0) {
        const double took = ms_until_refused(start, to);
        _exit(write(writer.get(), &took, sizeof took) == sizeof took ? 0 : 1);
    }
    double took = -1;
    const auto got = read(reader.get(), &took, sizeof took);
    waitpid(static_cast<pid_t>(child), nullptr, 0);
    rmdir(cgroup.c_str());
    if (got != sizeof took || took < 0)
        throw std::runtime_error("a new container was not enforced within 10 s");
    return took;
}

} // namespace penstock::bench::load
