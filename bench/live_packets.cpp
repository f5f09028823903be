// SPDX-License-Identifier: Apache-2.0
#include "bench/live_packets.h"

#include "bench/echo_server.h"
#include "bench/stopwatch.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace penstock::bench {

namespace {

constexpr double packet_budget = 60;

// Attached as long as the object lives.
UniqueFd attach(int program, int cgroup, bpf_attach_type where) {
    UniqueFd link(bpf_link_create(program, cgroup, where, nullptr));
    if (!link)
        throw std::runtime_error(std::string("attach a program: ") + std::strerror(errno));
    return link;
}

// The mean of a run between two looks at the kernel's count.
double between(const RunCount &before, const RunCount &after) {
    if (after.runs == before.runs)
        throw std::runtime_error("a program that is attached did not run");
    return static_cast<double>(after.ns - before.ns) / static_cast<double>(after.runs - before.runs);
}

struct Counted {
    Counted(int the_program, int the_empty, std::string what, std::optional<Budget> budget)
        : program(the_program), empty(the_empty), row{std::move(what), {}, {}, budget, {}} {}

    void start() {
        program_before = run_count(program);
        empty_before = run_count(empty);
    }
    void stop() {
        row.measured.add(between(program_before, run_count(program)));
        row.baseline.add(between(empty_before, run_count(empty)));
    }

    int program, empty;
    Row row;
    RunCount program_before, empty_before;
};

void measure(int fd, int times, auto &...counted) {
    (counted.start(), ...);
    ping_pong(fd, times);
    (counted.stop(), ...);
}

std::string family(bool v4) {
    return v4 ? ", v4" : ", v6";
}

// What a policy's limits add to a connection's packets each way and, of TCP, to what is done once a round trip (its pace).
struct Limited {
    Counted out, in, round_trip;
};

Limited limited_by(World &world, const EmptyPrograms &empty, bool tcp, const World::Limited &limits) {
    const std::string what = tcp ? "real TCP packet " : "real UDP datagram ";
    const auto budget =
        tcp && limits.is_all ? std::optional(Budget{Budget::Of::net, packet_budget}) : std::nullopt;
    return {Counted(world.gate().program("ps_egress"), empty.egress, what + "out, limits: " + limits.what,
                    budget),
            Counted(world.gate().program("ps_ingress"), empty.ingress, what + "in, limits: " + limits.what,
                    budget),
            Counted(world.gate().program("ps_sock_ops"), empty.sockops,
                    "real TCP round trip, limits: " + std::string(limits.what), std::nullopt)};
}

// One connection, bound to one policy after the other.
void add_limited(std::vector<Row> &rows, World &world, const EmptyPrograms &empty, bool tcp,
                 const Effort &effort) {
    const auto fd = connected(true, tcp);
    const Statistics statistics;
    std::vector<Limited> all;
    for (const auto &limits : World::limited())
        all.push_back(limited_by(world, empty, tcp, limits));
    for (int i = 0; i < effort.rounds; ++i)
        for (std::size_t place = 0; place < all.size(); ++place) {
            auto &[out, in, round_trip] = all[place];
            world.bind_limited(place);
            ping_pong(fd.get(), 8); // judged anew, and known
            if (tcp)
                measure(fd.get(), effort.single, out, in, round_trip);
            else
                measure(fd.get(), effort.single, out, in);
        }
    world.bind_domains(1000);
    for (auto &[out, in, round_trip] : all) {
        rows.push_back(std::move(out.row));
        rows.push_back(std::move(in.row));
        if (tcp)
            rows.push_back(std::move(round_trip.row));
    }
}

} // namespace

std::vector<Row> live_rows(World &world, const EmptyPrograms &empty, const std::filesystem::path &cgroup,
                           const std::filesystem::path &outside, const Effort &effort) {
    const EchoServer server(outside);
    world.bind_domains(1000);
    const UniqueFd directory(open(cgroup.c_str(), O_DIRECTORY | O_CLOEXEC));
    const int out = world.gate().program("ps_egress"), in = world.gate().program("ps_ingress");
    const UniqueFd links[] = {
        attach(empty.egress, directory.get(), BPF_CGROUP_INET_EGRESS),
        attach(empty.ingress, directory.get(), BPF_CGROUP_INET_INGRESS),
        attach(empty.sockops, directory.get(), BPF_CGROUP_SOCK_OPS),
        attach(out, directory.get(), BPF_CGROUP_INET_EGRESS),
        attach(in, directory.get(), BPF_CGROUP_INET_INGRESS),
        attach(world.gate().program("ps_sock_ops"), directory.get(), BPF_CGROUP_SOCK_OPS)};
    std::vector<Row> rows;
    for (const bool v4 : {true, false})
        for (const bool tcp : {true, false}) {
            const auto fd = connected(v4, tcp);
            const Statistics statistics;
            const std::string what = tcp ? " an established TCP flow" : ", connected UDP";
            const auto budget = tcp ? std::optional(Budget{Budget::Of::net, packet_budget}) : std::nullopt;
            Counted sent(out, empty.egress,
                         (tcp ? "real packet out of" : "real datagram out") + what + family(v4), budget),
                got(in, empty.ingress, (tcp ? "real packet into" : "real datagram in") + what + family(v4),
                    budget);
            for (int i = 0; i < effort.rounds; ++i)
                measure(fd.get(), effort.single * 4, sent, got);
            rows.push_back(sent.row);
            rows.push_back(got.row);
        }
    for (const bool tcp : {true, false})
        add_limited(rows, world, empty, tcp, effort);
    return rows;
}

} // namespace penstock::bench
