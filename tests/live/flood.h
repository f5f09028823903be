// SPDX-License-Identifier: Apache-2.0
// A process in a cgroup and a network namespace of its own that floods two of its addresses with UDP, in bursts so that the test itself
// gets its turn, and counts: what it sent, what was refused, what arrived. Knows nothing of Penstock.
#pragma once

#include <arpa/inet.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <net/if.h>
#include <netinet/in.h>
#include <new>
#include <poll.h>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace penstock::test {

class Flood {
  public:
    static constexpr const char *open_address = "198.51.100.1", *closed_address = "198.51.100.2";
    static constexpr std::uint16_t port = 9000;
    static constexpr std::size_t octets = 16; // of each payload

    // Written by the process, read by the test.
    struct Books {
        std::atomic<std::uint64_t> open_sent, open_failed, open_arrived;
        std::atomic<std::uint64_t> closed_refused, closed_attempts_refused, closed_sent, closed_arrived;
        std::atomic<int> broken; // errno of what kept it from flooding
        std::atomic<bool> ending;
    };

    explicit Flood(const std::filesystem::path &cgroup) {
        void *shared =
            ::mmap(nullptr, sizeof(Books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            throw std::runtime_error("mmap");
        books_ = new (shared) Books{};
        process_ = ::fork();
        if (process_ == 0) {
            run(cgroup);
            ::_exit(0);
        }
    }
    Flood(const Flood &) = delete;
    Flood &operator=(const Flood &) = delete;
    ~Flood() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
        ::munmap(books_, sizeof(Books));
    }

    const Books &books() const { return *books_; }

    // Waits until what is under way has arrived; the books are final then.
    void stop() {
        books_->ending = true;
        ::waitpid(process_, nullptr, 0);
        process_ = -1;
    }

  private:
    static constexpr unsigned burst = 50;
    static constexpr std::chrono::microseconds pause{200};
    static constexpr std::uint64_t under_way_max = 256;
    static constexpr int receive_buffer = 1 << 24; // holds all that is under way many times over

    static sockaddr_in address(const char *text) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        ::inet_pton(AF_INET, text, &to.sin_addr);
        return to;
    }

    static void require(bool done) {
        if (!done)
            throw std::runtime_error("flood");
    }

    static void enter(const std::filesystem::path &cgroup) {
        const int procs = ::open((cgroup / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
        require(procs >= 0 && ::write(procs, "0", 1) == 1);
        ::close(procs);
        require(::unshare(CLONE_NEWNET) == 0);
        const int sock = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        require(sock >= 0);
        const char *aliases[] = {"lo", "lo:1", "lo:2"};
        const char *addresses[] = {nullptr, open_address, closed_address};
        for (int i = 0; i < 3; i++) {
            ifreq request{};
            std::strncpy(request.ifr_name, aliases[i], sizeof request.ifr_name - 1);
            if (addresses[i]) {
                const sockaddr_in own = address(addresses[i]);
                std::memcpy(&request.ifr_addr, &own, sizeof own);
                require(::ioctl(sock, SIOCSIFADDR, &request) == 0);
            }
            request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
            require(::ioctl(sock, SIOCSIFFLAGS, &request) == 0);
        }
        ::close(sock);
    }

    static int receiver(const char *text) {
        const int sock = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const sockaddr_in at = address(text);
        require(sock >= 0 && ::bind(sock, reinterpret_cast<const sockaddr *>(&at), sizeof at) == 0);
        require(::setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) == 0);
        return sock;
    }

    static int connected(const char *text) {
        const int sock = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const sockaddr_in to = address(text);
        require(sock >= 0 && ::connect(sock, reinterpret_cast<const sockaddr *>(&to), sizeof to) == 0);
        return sock;
    }

    void receive(int open, int closed) {
        char buffer[2048];
        for (;;) {
            pollfd ready[] = {{open, POLLIN, 0}, {closed, POLLIN, 0}};
            if (::poll(ready, 2, books_->ending ? 300 : 50) == 0 && books_->ending)
                return;
            while (::recv(open, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
                books_->open_arrived++;
            while (::recv(closed, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
                books_->closed_arrived++;
        }
    }

    void send(int open, int closed, int unconnected) {
        const char payload[octets] = "flood";
        const sockaddr_in to = address(closed_address);
        for (unsigned round = 1; !books_->ending; round++) {
            if (round % burst == 0)
                std::this_thread::sleep_for(pause);
            if (books_->open_sent - books_->open_arrived < under_way_max)
                (::send(open, payload, octets, 0) == octets ? books_->open_sent : books_->open_failed)++;
            refused(::send(closed, payload, octets, 0), books_->closed_refused);
            refused(
                ::sendto(unconnected, payload, octets, 0, reinterpret_cast<const sockaddr *>(&to), sizeof to),
                books_->closed_attempts_refused);
        }
    }

    void refused(ssize_t sent, std::atomic<std::uint64_t> &count) {
        (sent < 0 && errno == EPERM ? count : books_->closed_sent)++;
    }

    void run(const std::filesystem::path &cgroup) {
        for (const int number : {SIGINT, SIGTERM, SIGSEGV, SIGABRT})
            ::signal(number, SIG_DFL); // the test framework's are its own
        try {
            enter(cgroup);
            const int open_receiver = receiver(open_address), closed_receiver = receiver(closed_address);
            const int open = connected(open_address), closed = connected(closed_address);
            const int unconnected = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            std::thread receiving([&] { receive(open_receiver, closed_receiver); });
            send(open, closed, unconnected);
            receiving.join();
        } catch (const std::exception &) {
            books_->broken = errno ? errno : EINVAL;
        }
    }

    Books *books_ = nullptr;
    pid_t process_ = -1;
};

} // namespace penstock::test
