// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/worker.h"

#include <net/if.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace penstock::differential {

namespace {

[[noreturn]] void fail(const std::string &what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::filesystem::path cgroup_mount() {
    std::ifstream mounts("/proc/self/mounts");
    for (std::string line; std::getline(mounts, line);) {
        std::istringstream fields(line);
        std::string device, point, type;
        fields >> device >> point >> type;
        if (type == "cgroup2")
            return point;
    }
    throw std::runtime_error("no cgroup v2 mount in /proc/self/mounts");
}

// Removed when it goes; by then nobody is in it, since the child was waited for.
class Cgroup {
  public:
    explicit Cgroup(const std::string &name) : path_(cgroup_mount() / name) {
        if (mkdir(path_.c_str(), 0755))
            fail("mkdir " + path_.string());
    }
    ~Cgroup() { rmdir(path_.c_str()); }
    Cgroup(const Cgroup &) = delete;
    Cgroup &operator=(const Cgroup &) = delete;

    void enter() const {
        std::ofstream procs(path_ / "cgroup.procs");
        if (!(procs << 0 << std::flush))
            fail("enter " + path_.string());
    }

    std::uint64_t id() const // a cgroup's id is its directory's inode number
    {
        struct stat status {};
        if (stat(path_.c_str(), &status))
            fail("stat " + path_.string());
        return status.st_ino;
    }

  private:
    std::filesystem::path path_;
};

// The namespace goes with the process.
unsigned make_network() {
    if (unshare(CLONE_NEWNET))
        fail("unshare the network namespace");
    if (std::system("ip link add worker0 type veth peer name worker1") != 0)
        throw std::runtime_error("ip link add failed");
    return if_nametoindex("worker0");
}

std::string work_in(const Cgroup &cgroup, const std::function<void(const Surroundings &)> &work) {
    try {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        cgroup.enter();
        work({cgroup.id(), make_network()});
        return {};
    } catch (const std::exception &error) {
        return error.what();
    }
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> part;
    for (ssize_t got; (got = read(fd, part.data(), part.size())) > 0;)
        text.append(part.data(), static_cast<std::size_t>(got));
    return text;
}

} // namespace

std::string run_in_cgroup(const std::string &name, const std::function<void(const Surroundings &)> &work) {
    const Cgroup cgroup(name);
    int ends[2];
    if (pipe(ends))
        fail("pipe");
    std::cout.flush();
    const pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        close(ends[0]);
        const auto message = work_in(cgroup, work);
        std::cout.flush();
        const bool told =
            write(ends[1], message.data(), message.size()) == static_cast<ssize_t>(message.size());
        _exit(told && message.empty() ? 0 : 1);
    }
    close(ends[1]);
    auto message = read_all(ends[0]);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0 && message.empty())
        message = "the worker ended with wait status " + std::to_string(status);
    return message;
}

} // namespace penstock::differential
