// SPDX-License-Identifier: Apache-2.0
// map_writes CGROUP: for each line on its input, prints how many map elements processes of the cgroup have written or deleted by
// bpf(2) since it started. Stores through mapped memory are not among them.
#include "bench_writes.skel.h"

#include <asm/ptrace.h>
#include <bpf/libbpf.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

namespace {

#if defined(__x86_64__)
constexpr std::size_t first_argument = offsetof(pt_regs, rdi), second_argument = offsetof(pt_regs, rsi);
#elif defined(__aarch64__)
constexpr std::size_t first_argument = offsetof(user_pt_regs, regs[0]),
                      second_argument = offsetof(user_pt_regs, regs[1]);
#else
#error "where do this architecture's saved registers hold the arguments of a system call?"
#endif

struct Destroy {
    void operator()(bench_writes_bpf *skeleton) const { bench_writes_bpf__destroy(skeleton); }
};

int fail(const std::string &what, int error) {
    std::cerr << "map_writes: " << what << ": " << std::strerror(error) << '\n';
    return 1;
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: map_writes CGROUP\n";
        return 2;
    }
    struct stat status {};
    if (stat(argv[1], &status) != 0)
        return fail(argv[1], errno);
    const std::unique_ptr<bench_writes_bpf, Destroy> skeleton(bench_writes_bpf__open());
    if (!skeleton)
        return fail("open the counting program", errno);
    skeleton->rodata->cgroup = status.st_ino; // a cgroup's id is its directory's inode number
    skeleton->rodata->number_of_bpf = SYS_bpf;
    skeleton->rodata->first_argument = first_argument;
    skeleton->rodata->second_argument = second_argument;
    if (const int error = bench_writes_bpf__load(skeleton.get()))
        return fail("load the counting program", -error);
    if (const int error = bench_writes_bpf__attach(skeleton.get()))
        return fail("attach the counting program", -error);
    std::cout << "attached" << std::endl;
    for (std::string line; std::getline(std::cin, line);)
        std::cout << skeleton->bss->writes << std::endl;
    return 0;
}
