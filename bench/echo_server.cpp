// SPDX-License-Identifier: Apache-2.0
#include "bench/echo_server.h"

#include <arpa/inet.h>
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
#include <string>
#include <vector>

namespace penstock::bench {

namespace {

constexpr const char *server_v4 = "198.51.100.7", *server_v6 = "2001:db8:1::7", // of the policy's CIDRs
                                                      *client_v4 = "198.51.100.1",
                     *client_v6 = "2001:db8:1::1", *server_mac = "02:00:00:00:00:07",
                     *client_mac = "02:00:00:00:00:01";
constexpr std::uint16_t server_port = 443;

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
            if (all[i].revents &&
                (read(all[i].fd, octet, sizeof octet) <= 0 || write(all[i].fd, octet, 1) != 1)) {
                close(all[i].fd);
                all[i].fd = -1;
            }
    }
    _exit(1);
}

[[noreturn]] void run_server(pid_t client, const std::filesystem::path &cgroup, int ready) {
    try {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::ofstream(cgroup / "cgroup.procs") << 0 << std::flush;
        if (unshare(CLONE_NEWNET))
            fail("unshare");
        shell("nsenter -t " + std::to_string(client) + " -n ip link set worker1 netns " +
              std::to_string(getpid()));
        set_up("worker1", server_mac, server_v4, server_v6);
        know("worker1", client_mac, client_v6);
        const auto tcp_v4 = listening(true, true), tcp_v6 = listening(false, true),
                   udp_v4 = listening(true, false), udp_v6 = listening(false, false);
        if (write(ready, "r", 1) == 1)
            serve({tcp_v4.get(), tcp_v6.get()}, {udp_v4.get(), udp_v6.get()});
    } catch (const std::exception &) {
    }
    _exit(1);
}

} // namespace

EchoServer::EchoServer(const std::filesystem::path &cgroup) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC))
        fail("pipe");
    UniqueFd reader(ready[0]), writer(ready[1]);
    const auto us = getpid();
    pid_ = fork();
    if (pid_ < 0)
        fail("fork");
    if (pid_ == 0)
        run_server(us, cgroup, writer.get());
    writer = UniqueFd();
    char octet;
    if (read(reader.get(), &octet, 1) != 1)
        throw std::runtime_error("the echo server did not start");
    set_up("worker0", client_mac, client_v4, client_v6);
    know("worker0", server_mac, server_v6);
}

EchoServer::~EchoServer() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
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

} // namespace penstock::bench
