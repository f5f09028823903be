// SPDX-License-Identifier: Apache-2.0
// An echo server at the other end of a veth pair, and connections to it. Nothing is charged over loopback, so the server has a
// network namespace of its own; no program of ours sees its packets.
#pragma once

#include "userspace/base/unique_fd.h"

#include <filesystem>

#include <sys/types.h>

namespace penstock::bench {

class EchoServer {
  public:
    // In `cgroup`, and with one of the caller's two veth devices (worker.cpp); the other is set up here.
    explicit EchoServer(const std::filesystem::path &cgroup);
    ~EchoServer();
    EchoServer(const EchoServer &) = delete;
    EchoServer &operator=(const EchoServer &) = delete;

  private:
    pid_t pid_;
};

// To an address of the CIDRs in World's policies, port 443.
UniqueFd connected(bool v4, bool tcp);
void ping_pong(int fd, int times);

} // namespace penstock::bench
