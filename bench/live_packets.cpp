// SPDX-License-Identifier: Apache-2.0
#include "bench/live_packets.h"

#include "bench/stopwatch.h"
#include "userspace/base/unique_fd.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
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

constexpr const char *server_v4 = "198.51.100.7", *server_v6 = "2001:db8:1::7", // of the policy's CIDRs
    *client_v4 = "198.51.100.1", *client_v6 = "2001:db8:1::1", *server_mac = "02:00:00:00:00:07",
                     *client_mac = "02:00:00:00:00:01";
constexpr std::uint16_t server_port = 443;
constexpr double packet_budget = 60;

[[noreturn]] void fail(const std::string &what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

void shell(const std::string &command) {
    if (std::system(command.c_str()) != 0)
        throw std::runtime_error("failed: " + command);
}

void set_up(const std::string &device, const std::string &mac, const std::string &v4, const std::string &v6) {
    shell("ip link set " + device + " address " + mac + " && ip addr add " + v4 + "/24 dev " + device +
          " && ip -6 addr add " + v6 + "/48 dev " + device + " nodad && ip link set " + device + " up");
}

// No rule of the policies here allows ICMPv6, which would ask for it: the namespace's own socket belongs to the cgroup too.
void know(const std::string &device, const std::string &mac, const std::string &v6) {
    shell("ip -6 neigh add " + v6 + " lladdr " + mac + " dev " + device);
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

UniqueFd listening(bool v4, bool tcp) {
    auto fd = open_socket(v4, tcp);
    const auto place = place_of(v4);
    if (bind(fd.get(), place.get(), place.size) || (tcp && listen(fd.get(), 8)))
        _exit(1);
    return fd;
}

void echo_datagram(int fd) {
    char octet[64];
    Place from;
    from.size = sizeof from.storage;
    auto *at = reinterpret_cast<sockaddr *>(&from.storage);
    if (recvfrom(fd, octet, sizeof octet, 0, at, &from.size) > 0)
        sendto(fd, octet, 1, 0, from.get(), from.size);
}

// Echoes one octet a message; never returns.
[[noreturn]] void serve(const std::vector<int> &listeners, const std::vector<int> &datagrams) {
    std::vector<pollfd> all;
    for (const int fd : listeners)
        all.push_back({fd, POLLIN, 0});
    for (const int fd : datagrams)
        all.push_back({fd, POLLIN, 0});
    const auto streams = all.size();
    const int one = 1;
    char octet[64];
    while (poll(all.data(), all.size(), -1) >= 0) {
        for (std::size_t i = 0; i < streams; ++i) {
            if (!all[i].revents)
                continue;
            if (i >= listeners.size()) {
                echo_datagram(all[i].fd);
                continue;
            }
            all.push_back({accept(all[i].fd, nullptr, nullptr), POLLIN, 0});
            setsockopt(all.back().fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        }
        for (std::size_t i = streams; i < all.size(); ++i)
            if (all[i].revents && (read(all[i].fd, octet, sizeof octet) <= 0 || write(all[i].fd, octet, 1) != 1)) {
                close(all[i].fd);
                all[i].fd = -1;
            }
    }
    _exit(1);
}

// A server in a cgroup and a network namespace of its own, at the other end of a veth pair: no program of ours sees its
// packets, and they are not loopback's, which nothing is charged for.
class Server {
  public:
    explicit Server(const std::filesystem::path &cgroup) {
        int ready[2];
        if (pipe2(ready, O_CLOEXEC))
            fail("pipe");
        UniqueFd reader(ready[0]), writer(ready[1]);
        const auto us = getpid();
        pid_ = fork();
        if (pid_ < 0)
            fail("fork");
        if (pid_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            std::ofstream(cgroup / "cgroup.procs") << 0 << std::flush;
            if (unshare(CLONE_NEWNET))
                _exit(1);
            shell("nsenter -t " + std::to_string(us) + " -n ip link set worker1 netns " + std::to_string(getpid()));
            set_up("worker1", server_mac, server_v4, server_v6);
            know("worker1", client_mac, client_v6);
            const auto tcp_v4 = listening(true, true), tcp_v6 = listening(false, true), udp_v4 = listening(true, false),
                       udp_v6 = listening(false, false);
            if (write(writer.get(), "r", 1) != 1)
                _exit(1);
            serve({tcp_v4.get(), tcp_v6.get()}, {udp_v4.get(), udp_v6.get()});
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
    timeval patience{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd.get(), place.get(), place.size))
        fail("connect");
    int one = 1;
    if (tcp)
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
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

void measure(int fd, int times, Counted &sent, Counted &got) {
    sent.start(), got.start();
    ping_pong(fd, times);
    sent.stop(), got.stop();
}

std::string family(bool v4) {
    return v4 ? ", v4" : ", v6";
}

// One connection, bound to one policy after the other: what each kind of limit adds to its packets.
void add_limited(std::vector<Row> &rows, World &world, const EmptyPrograms &empty, bool tcp, const Effort &effort) {
    const int out = world.gate().program("ps_egress"), in = world.gate().program("ps_ingress");
    const auto fd = connected(true, tcp);
    const Statistics statistics;
    const std::string what = tcp ? "real TCP packet " : "real UDP datagram ";
    std::vector<std::pair<Counted, Counted>> all;
    for (const auto &limits : World::limited()) {
        const auto budget =
            tcp && limits.is_all ? std::optional(Budget{Budget::Of::net, packet_budget}) : std::nullopt;
        all.emplace_back(Counted(out, empty.egress, what + "out, limits: " + limits.what, budget),
                         Counted(in, empty.ingress, what + "in, limits: " + limits.what, budget));
    }
    for (int i = 0; i < effort.rounds; ++i)
        for (std::size_t place = 0; place < all.size(); ++place) {
            world.bind_limited(place);
            ping_pong(fd.get(), 8); // judged anew, and known
            measure(fd.get(), effort.single, all[place].first, all[place].second);
        }
    world.bind_domains(1000);
    for (auto &[sent, got] : all) {
        rows.push_back(std::move(sent.row));
        rows.push_back(std::move(got.row));
    }
}

} // namespace

std::vector<Row> live_rows(World &world, const EmptyPrograms &empty, const std::filesystem::path &cgroup,
                           const std::filesystem::path &outside, const Effort &effort) {
    const Server server(outside);
    set_up("worker0", client_mac, client_v4, client_v6);
    know("worker0", server_mac, server_v6);
    world.bind_domains(1000);
    const UniqueFd directory(open(cgroup.c_str(), O_DIRECTORY | O_CLOEXEC));
    const int out = world.gate().program("ps_egress"), in = world.gate().program("ps_ingress");
    const UniqueFd links[] = {attach(empty.egress, directory.get(), BPF_CGROUP_INET_EGRESS),
                              attach(empty.ingress, directory.get(), BPF_CGROUP_INET_INGRESS),
                              attach(out, directory.get(), BPF_CGROUP_INET_EGRESS),
                              attach(in, directory.get(), BPF_CGROUP_INET_INGRESS)};
    std::vector<Row> rows;
    for (const bool v4 : {true, false})
        for (const bool tcp : {true, false}) {
            const auto fd = connected(v4, tcp);
            const Statistics statistics;
            const std::string what = tcp ? " an established TCP flow" : ", connected UDP";
            const auto budget = tcp ? std::optional(Budget{Budget::Of::net, packet_budget}) : std::nullopt;
            Counted sent(out, empty.egress, (tcp ? "real packet out of" : "real datagram out") + what + family(v4), budget),
                got(in, empty.ingress, (tcp ? "real packet into" : "real datagram in") + what + family(v4), budget);
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
