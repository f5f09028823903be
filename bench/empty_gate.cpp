// SPDX-License-Identifier: Apache-2.0
// empty_gate CGROUP: attaches the programs that do nothing to a cgroup, says "attached", and holds them until its input ends.
#include "userspace/base/unique_fd.h"

#include "bench_empty.skel.h"

#include <bpf/libbpf.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>

namespace {

struct Destroy {
    void operator()(bench_empty_bpf *skeleton) const { bench_empty_bpf__destroy(skeleton); }
};

int fail(const std::string &what, int error) {
    std::cerr << "empty_gate: " << what << ": " << std::strerror(error) << '\n';
    return 1;
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: empty_gate CGROUP\n";
        return 2;
    }
    const penstock::UniqueFd cgroup(open(argv[1], O_DIRECTORY | O_CLOEXEC));
    if (!cgroup)
        return fail(argv[1], errno);
    const std::unique_ptr<bench_empty_bpf, Destroy> skeleton(bench_empty_bpf__open_and_load());
    if (!skeleton)
        return fail("load the empty programs", errno);
    bpf_program *program;
    bpf_object__for_each_program(program, skeleton->obj) {
        bpf_link *link = bpf_program__attach_cgroup(program, cgroup.get()); // goes with the process
        if (!link)
            return fail(std::string("attach ") + bpf_program__name(program), errno);
    }
    std::cout << "attached" << std::endl;
    std::cin.get();
    return 0;
}
