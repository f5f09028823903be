// SPDX-License-Identifier: Apache-2.0
// verdict_cost [--quick] [--json FILE]: what a verdict costs, in nanoseconds, over a program that does nothing. Root.
// Makes a cgroup and a network namespace of its own; attaches nothing outside them, pins nothing.
#include "bench/cases.h"
#include "bench/live_packets.h"
#include "userspace/base/cgroup_mount.h"

#include "bench_clock.skel.h"
#include "bench_empty.skel.h"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

using namespace penstock;
using namespace penstock::bench;

namespace {

constexpr Effort full{40, 20000, 400}, quick{4, 5000, 100};

struct Destroy {
    void operator()(bench_clock_bpf *skeleton) const { bench_clock_bpf__destroy(skeleton); }
    void operator()(bench_empty_bpf *skeleton) const { bench_empty_bpf__destroy(skeleton); }
};

struct Outside { // a cgroup beside the container's, for the server
    explicit Outside(std::filesystem::path where) : path(std::move(where)) {
        if (mkdir(path.c_str(), 0755))
            throw std::runtime_error("mkdir " + path.string());
    }
    ~Outside() {
        std::ofstream(path / "cgroup.kill") << 1 << std::flush; // of a worker that died before its server
        for (int tries = 0; rmdir(path.c_str()) && errno == EBUSY && tries < 200; ++tries)
            usleep(10000);
    }
    Outside(const Outside &) = delete;
    Outside &operator=(const Outside &) = delete;
    std::filesystem::path path;
};

void measure(const differential::Surroundings &surroundings, const std::filesystem::path &mount,
             const std::string &name, const std::filesystem::path &outside, const Effort &effort,
             const std::string &json) {
    const std::unique_ptr<bench_empty_bpf, Destroy> empty(bench_empty_bpf__open_and_load());
    const std::unique_ptr<bench_clock_bpf, Destroy> clock(bench_clock_bpf__open_and_load());
    if (!empty || !clock)
        throw std::runtime_error("load the empty programs");
    const EmptyPrograms programs{
        bpf_program__fd(empty->progs.empty_egress), bpf_program__fd(empty->progs.empty_ingress),
        bpf_program__fd(empty->progs.empty_sockops), bpf_program__fd(clock->progs.clock_egress)};
    World world(surroundings, 1);
    std::vector<std::vector<Row>> parts;
    for (const auto &part : {limited_rows, test_run_rows})
        parts.push_back(part(world, programs, effort));
    // The last: with the server goes the device that test runs name.
    auto rows = live_rows(world, programs, mount / name, outside, effort);
    for (auto &part : parts)
        rows.insert(rows.end(), part.begin(), part.end());
    print_table(std::cout, rows);
    if (json.empty())
        return;
    std::ofstream file(json);
    print_json(file, rows);
    if (!file.flush())
        throw std::runtime_error("write " + json);
}

} // namespace

int main(int argc, char **argv) {
    Effort effort = full;
    std::string json;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        if (argument == "--quick")
            effort = quick;
        else if (argument == "--json" && i + 1 < argc)
            json = argv[++i];
        else {
            std::cerr << "usage: verdict_cost [--quick] [--json FILE]\n";
            return 2;
        }
    }
    const auto mount = cgroup_mount();
    if (!mount) {
        std::cerr << "verdict_cost: " << mount.error().message << '\n';
        return 1;
    }
    // The worker dies of these; this process lives to take its cgroups away.
    std::signal(SIGINT, SIG_IGN);
    std::signal(SIGTERM, SIG_IGN);
    try {
        const auto name = "penstock-bench-" + std::to_string(getpid());
        const Outside outside(*mount / (name + "-outside"));
        const auto failure =
            differential::run_in_cgroup(name, [&](const differential::Surroundings &surroundings) {
                std::signal(SIGINT, SIG_DFL);
                std::signal(SIGTERM, SIG_DFL);
                measure(surroundings, *mount, name, outside.path, effort, json);
            });
        if (failure.empty())
            return 0;
        std::cerr << "verdict_cost: " << failure << '\n';
    } catch (const std::exception &error) {
        std::cerr << "verdict_cost: " << error.what() << '\n';
    }
    return 1;
}
