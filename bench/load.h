// SPDX-License-Identifier: Apache-2.0
// The parts of load: what serves and what asks. Both ends know the ports and the names; nobody else does.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace penstock::bench::load {

constexpr std::uint16_t echo_port = 7000, sink_port = 7001, dns_port = 53;
constexpr int names = 1000; // d0.bench.test ... d999.bench.test, all of them the server's

struct Task {
    double seconds;
    int connections;
    std::string server, dns_server;
};

using Client = double (*)(const Task &);   // gives how many a second
Client client_of(const std::string &word); // null: no such
void resolve(const Task &, int name);      // throws if there is no answer

// Milliseconds from mkdir of a new cgroup to the first refused datagram of a process that was started in it.
double ms_until_enforced(const std::string &cgroup, const std::string &denied_address);

[[noreturn]] void serve(const std::string &address, const std::vector<std::string> &dns_addresses);

inline sockaddr_in place(const std::string &address, std::uint16_t port) {
    sockaddr_in made{};
    made.sin_family = AF_INET;
    made.sin_port = htons(port);
    if (inet_pton(AF_INET, address.c_str(), &made.sin_addr) != 1)
        throw std::runtime_error("no IPv4 address: " + address);
    return made;
}

inline const sockaddr *generic(const sockaddr_in &place) {
    return reinterpret_cast<const sockaddr *>(&place);
}

[[noreturn]] inline void fail(const std::string &what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

} // namespace penstock::bench::load
