// SPDX-License-Identifier: Apache-2.0
// Everything the clients talk to, in one thread: an echo (TCP and UDP), a sink, and a DNS server that knows one address for
// every name.
#include "bench/load.h"
#include "userspace/base/unique_fd.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

namespace penstock::bench::load {

namespace {

enum class Part { accept_echo, accept_sink, echo, sink, echo_datagram, dns };

class Server {
  public:
    Server(const std::string &address, const std::vector<std::string> &dns_addresses)
        : epoll_(epoll_create1(EPOLL_CLOEXEC)), answer_(place(address, 0).sin_addr) {
        listen_at(address, echo_port, Part::accept_echo);
        listen_at(address, sink_port, Part::accept_sink);
        datagrams_at(address, echo_port, Part::echo_datagram);
        for (const auto &each : dns_addresses)
            datagrams_at(each, dns_port, Part::dns);
    }

    [[noreturn]] void run() {
        epoll_event events[64];
        for (;;) {
            const int count = epoll_wait(epoll_.get(), events, 64, -1);
            for (int i = 0; i < count; ++i)
                handle(events[i].data.fd);
        }
    }

  private:
    void watch(UniqueFd fd, Part part) {
        const int number = fd.get();
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = number;
        if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, number, &event))
            fail("epoll_ctl");
        sockets_[number] = {std::move(fd), part};
    }

    UniqueFd bound(const std::string &address, std::uint16_t port, int type) {
        UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int one = 1;
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        const auto where = place(address, port);
        if (bind(fd.get(), generic(where), sizeof where))
            fail("bind " + address);
        return fd;
    }

    void listen_at(const std::string &address, std::uint16_t port, Part part) {
        auto fd = bound(address, port, SOCK_STREAM);
        if (listen(fd.get(), 4096))
            fail("listen");
        watch(std::move(fd), part);
    }

    void datagrams_at(const std::string &address, std::uint16_t port, Part part) {
        watch(bound(address, port, SOCK_DGRAM), part);
    }

    void handle(int fd) {
        const auto part = sockets_.at(fd).part;
        switch (part) {
        case Part::accept_echo:
            return take(fd, Part::echo);
        case Part::accept_sink:
            return take(fd, Part::sink);
        case Part::echo:
        case Part::sink:
            return drain(fd, part);
        case Part::echo_datagram:
        case Part::dns:
            return datagram(fd, part);
        }
    }

    void take(int listener, Part part) {
        UniqueFd peer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!peer)
            return;
        const int one = 1;
        setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(std::move(peer), part);
    }

    void drain(int fd, Part part) {
        const auto got = read(fd, buffer_, sizeof buffer_);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || (part == Part::echo && write(fd, buffer_, static_cast<std::size_t>(got)) != got))
            sockets_.erase(fd);
    }

    void datagram(int fd, Part part) {
        sockaddr_in from{};
        socklen_t size = sizeof from;
        auto *at = reinterpret_cast<sockaddr *>(&from);
        auto got = recvfrom(fd, buffer_, sizeof buffer_ - 16, 0, at, &size);
        if (got <= 0 || (part == Part::dns && got < 12))
            return;
        if (part == Part::dns)
            got = answer(static_cast<std::size_t>(got));
        sendto(fd, buffer_, static_cast<std::size_t>(got), 0, at, size);
    }

    // The question without EDNS, as our clients ask: the answer goes behind it.
    ssize_t answer(std::size_t length) {
        const unsigned char record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4}; // A, IN, an hour
        buffer_[2] = static_cast<char>(0x81);
        buffer_[3] = static_cast<char>(0x80);
        buffer_[7] = 1;
        std::memcpy(buffer_ + length, record, sizeof record);
        std::memcpy(buffer_ + length + sizeof record, &answer_, 4);
        return static_cast<ssize_t>(length + sizeof record + 4);
    }

    struct Entry {
        UniqueFd fd;
        Part part;
    };
    UniqueFd epoll_;
    in_addr answer_;
    std::map<int, Entry> sockets_;
    char buffer_[262144];
};

} // namespace

void serve(const std::string &address, const std::vector<std::string> &dns_addresses) {
    static Server server(address, dns_addresses); // too large for the stack
    server.run();
}

} // namespace penstock::bench::load
