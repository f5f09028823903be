// SPDX-License-Identifier: Apache-2.0
// The clients: each makes one kind of traffic until its time is over, one thing outstanding a connection.
#include "bench/load.h"
#include "userspace/base/unique_fd.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>

namespace penstock::bench::load {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Calls `once` until the time is over; gives how many it did a second. `once` gives how many it did.
template <class Once> double paced(double seconds, Once once) {
    const auto start = Clock::now();
    double done = 0, passed = 0;
    do {
        for (int i = 0; i < 16; ++i)
            done += once();
        passed = seconds_since(start);
    } while (passed < seconds);
    return done / passed;
}

UniqueFd connected(const std::string &address, std::uint16_t port, int type) {
    UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const auto to = place(address, port);
    const timeval patience{3, 0};
    const int one = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (type == SOCK_STREAM)
        setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd.get(), generic(to), sizeof to))
        fail("connect to " + address);
    return fd;
}

void put(int fd) {
    const char octet = 'x';
    if (send(fd, &octet, 1, MSG_NOSIGNAL) != 1)
        fail("send");
}

void get(int fd) {
    char octet;
    if (recv(fd, &octet, 1, 0) != 1)
        fail("receive");
}

double request_response(const Task &task, int type) {
    std::vector<UniqueFd> sockets;
    for (int i = 0; i < task.connections; ++i)
        sockets.push_back(connected(task.server, echo_port, type));
    return paced(task.seconds, [&] {
        for (const auto &each : sockets)
            put(each.get());
        for (const auto &each : sockets)
            get(each.get());
        return static_cast<double>(sockets.size());
    });
}

double tcp_rr(const Task &task) {
    return request_response(task, SOCK_STREAM);
}

double udp_rr(const Task &task) {
    return request_response(task, SOCK_DGRAM);
}

// With one exchange, else a proxy that takes a connection and asks nobody would shine. Ends with a reset: a closed
// connection would hold its port for a minute.
double connect_rate(const Task &task) {
    return paced(task.seconds, [&] {
        const auto fd = connected(task.server, echo_port, SOCK_STREAM);
        const linger at_once{1, 0};
        setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        put(fd.get());
        get(fd.get());
        return 1.0;
    });
}

// Octets that were taken: what still waits in our buffer is less than a hundredth.
double stream(const Task &task) {
    const auto fd = connected(task.server, sink_port, SOCK_STREAM);
    const auto chunk = std::make_unique<char[]>(131072);
    return paced(task.seconds, [&] {
        const auto sent = send(fd.get(), chunk.get(), 131072, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("send");
        return static_cast<double>(sent);
    });
}

std::string question(std::uint16_t id, int name) {
    std::string host = std::to_string(name); // not with operator+: GCC 12 sees an overlap that is none
    host.insert(host.begin(), 'd');
    std::string out{static_cast<char>(id >> 8), static_cast<char>(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    for (const std::string &label : {host, std::string("bench"), std::string("test")})
        out += std::string(1, static_cast<char>(label.size())) + label;
    return out + std::string({0, 0, 1, 0, 1});
}

void ask(int fd, std::uint16_t id, int name) {
    const auto message = question(id, name);
    char answer[512];
    if (send(fd, message.data(), message.size(), 0) != static_cast<ssize_t>(message.size()))
        fail("send a DNS query");
    const auto got = recv(fd, answer, sizeof answer, 0);
    if (got < 0)
        fail("receive a DNS answer");
    if (got < 12 || (answer[3] & 15) || !answer[7])
        throw std::runtime_error("a DNS answer without an address");
}

double dns(const Task &task) {
    const auto fd = connected(task.dns_server, dns_port, SOCK_DGRAM);
    int number = 0;
    return paced(task.seconds, [&] {
        ++number;
        ask(fd.get(), static_cast<std::uint16_t>(number), number * 7 % names);
        return 1.0;
    });
}

} // namespace

void resolve(const Task &task, int name) {
    ask(connected(task.dns_server, dns_port, SOCK_DGRAM).get(), 1, name);
}

Client client_of(const std::string &word) {
    struct Known {
        const char *word;
        Client client;
    };
    static constexpr Known known[] = {
        {"tcp_rr", tcp_rr}, {"udp_rr", udp_rr}, {"connect", connect_rate}, {"stream", stream}, {"dns", dns}};
    for (const auto &each : known)
        if (word == each.word)
            return each.client;
    return nullptr;
}

} // namespace penstock::bench::load
