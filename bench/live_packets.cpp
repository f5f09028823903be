// SPDX-License-Identifier: Apache-2.0
#include "bench/live_packets.h"

#include "bench/stopwatch.h"
#include "userspace/base/unique_fd.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace penstock::bench {

namespace {

constexpr const char *server_v4 = "198.51.100.7", *server_v6 = "2001:db8:1::7"; // of the policy's CIDRs
constexpr std::uint16_t server_port = 443;
constexpr double packet_budget = 60;

[[noreturn]] void fail(const std::string &what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

void shell(const std::string &command) {
    if (std::system(command.c_str()) != 0)
        throw std::runtime_error("failed: " + command);
}

struct Place {
    sockaddr_storage storage{};
    socklen_t size = 0;
    const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&storage); }
};

Place place_of(bool v4) {
    Place place;
    if (v4) {
        auto *to = reinterpret_cast<sockaddr_in *>(&place.storage);
        to->sin_family = AF_INET;
        to->sin_port = htons(server_port);
        inet_pton(AF_INET, server_v4, &to->sin_addr);
        place.size = sizeof *to;
    } else {
        auto *to = reinterpret_cast<sockaddr_in6 *>(&place.storage);
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(server_port);
        inet_pton(AF_INET6, server_v6, &to->sin6_addr);
        place.size = sizeof *to;
    }
    return place;
}

UniqueFd open_socket(bool v4, bool tcp) {
    UniqueFd fd(socket(v4 ? AF_INET : AF_INET6, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
    if (!fd)
        fail("socket");
    return fd;
}

// Echoes one octet a message; never returns.
[[noreturn]] void serve(int tcp, int udp) {
    char octet[64];
    int one = 1;
    const int peer = accept(tcp, nullptr, nullptr);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (;;) {
        pollfd both[] = {{peer, POLLIN, 0}, {udp, POLLIN, 0}};
        if (poll(both, 2, -1) < 0)
            _exit(1);
        if (both[0].revents) {
            if (read(peer, octet, sizeof octet) <= 0 || write(peer, octet, 1) != 1)
                _exit(0);
        }
        if (both[1].revents) {
            Place from;
            from.size = sizeof from.storage;
            auto *at = reinterpret_cast<sockaddr *>(&from.storage);
            if (recvfrom(udp, octet, sizeof octet, 0, at, &from.size) > 0)
                sendto(udp, octet, 1, 0, from.get(), from.size);
        }
    }
}

// A server in a cgroup of its own, whose packets no program of ours sees.
class Server {
  public:
    Server(bool v4, const std::filesystem::path &cgroup) {
        int ready[2];
        if (pipe2(ready, O_CLOEXEC))
            fail("pipe");
        UniqueFd reader(ready[0]), writer(ready[1]);
        pid_ = fork();
        if (pid_ < 0)
            fail("fork");
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            std::ofstream(cgroup / "cgroup.procs") << 0 << std::flush;
            const auto tcp = open_socket(v4, true), udp = open_socket(v4, false);
            const auto place = place_of(v4);
            int one = 1;
            setsockopt(tcp.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
            if (bind(tcp.get(), place.get(), place.size) || bind(udp.get(), place.get(), place.size) ||
                listen(tcp.get(), 1) || write(writer.get(), "r", 1) != 1)
                _exit(1);
            serve(tcp.get(), udp.get());
        }
        writer = UniqueFd();
        char octet;
        if (read(reader.get(), &octet, 1) != 1)
            throw std::runtime_error("the echo server did not start");
    }
    ~Server() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

  private:
    pid_t pid_;
};

// Attached as long as the object lives.
UniqueFd attach(int program, int cgroup, bpf_attach_type where) {
    UniqueFd link(bpf_link_create(program, cgroup, where, nullptr));
    if (!link)
        fail("attach a program");
    return link;
}

UniqueFd connected(bool v4, bool tcp) {
    auto fd = open_socket(v4, tcp);
    const auto place = place_of(v4);
    if (connect(fd.get(), place.get(), place.size))
        fail("connect");
    int one = 1;
    if (tcp)
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    timeval patience{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

void ping_pong(int fd, int times) {
    char octet = 'x';
    for (int i = 0; i < times; ++i)
        if (send(fd, &octet, 1, 0) != 1 || recv(fd, &octet, 1, 0) != 1)
            fail("talk to the echo server");
}

// The mean of a run between two looks at the kernel's count.
double between(const RunCount &before, const RunCount &after) {
    if (after.runs == before.runs)
        throw std::runtime_error("a program that is attached did not run");
    return static_cast<double>(after.ns - before.ns) / static_cast<double>(after.runs - before.runs);
}

struct Counted {
    int program, empty;
    Row row;
    RunCount program_before, empty_before;

    void start() {
        program_before = run_count(program);
        empty_before = run_count(empty);
    }
    void stop() {
        row.measured.add(between(program_before, run_count(program)));
        row.baseline.add(between(empty_before, run_count(empty)));
    }
};

} // namespace

std::vector<Row> live_rows(World &world, const EmptyPrograms &empty, const std::filesystem::path &cgroup,
                           const std::filesystem::path &outside, const Effort &effort) {
    shell("ip link set lo up");
    shell(std::string("ip addr add ") + server_v4 + "/32 dev lo && ip -6 addr add " + server_v6 +
          "/128 dev lo nodad");
    world.bind_domains(1000);
    const UniqueFd directory(open(cgroup.c_str(), O_DIRECTORY | O_CLOEXEC));
    const int out = world.gate().program("ps_egress"), in = world.gate().program("ps_ingress");
    const UniqueFd links[] = {attach(empty.egress, directory.get(), BPF_CGROUP_INET_EGRESS),
                              attach(empty.ingress, directory.get(), BPF_CGROUP_INET_INGRESS),
                              attach(out, directory.get(), BPF_CGROUP_INET_EGRESS),
                              attach(in, directory.get(), BPF_CGROUP_INET_INGRESS)};
    std::vector<Row> rows;
    for (const bool v4 : {true, false}) {
        const Server server(v4, outside);
        const std::string family = v4 ? ", v4" : ", v6";
        const auto tcp = connected(v4, true), udp = connected(v4, false);
        const Statistics statistics;
        const Budget budget{Budget::Of::net, packet_budget};
        Counted tcp_out{out,
                        empty.egress,
                        {"real packet out of an established TCP flow" + family, {}, {}, budget, {}},
                        {},
                        {}};
        Counted tcp_in{in,
                       empty.ingress,
                       {"real packet into an established TCP flow" + family, {}, {}, budget, {}},
                       {},
                       {}};
        Counted udp_out{
            out, empty.egress, {"real datagram out, connected UDP" + family, {}, {}, {}, {}}, {}, {}};
        Counted udp_in{
            in, empty.ingress, {"real datagram in, connected UDP" + family, {}, {}, {}, {}}, {}, {}};
        for (int i = 0; i < effort.rounds; ++i) {
            tcp_out.start(), tcp_in.start();
            ping_pong(tcp.get(), effort.single * 4);
            tcp_out.stop(), tcp_in.stop();
            udp_out.start(), udp_in.start();
            ping_pong(udp.get(), effort.single * 4);
            udp_out.stop(), udp_in.stop();
        }
        for (const auto *each : {&tcp_out, &tcp_in, &udp_out, &udp_in})
            rows.push_back(each->row);
    }
    return rows;
}

} // namespace penstock::bench
