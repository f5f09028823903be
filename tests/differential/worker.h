// SPDX-License-Identifier: Apache-2.0
// A child process in a cgroup and a network namespace of its own, both gone afterwards, also when it fails.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace penstock::differential {

struct Surroundings {
    std::uint64_t cgroup_id = 0;
    unsigned ifindex = 0; // of a device that is not lo
};

// Runs `work` there; gives the message of what it threw, empty if all went well. `name` is the new cgroup's.
std::string run_in_cgroup(const std::string &name, const std::function<void(const Surroundings &)> &work);

} // namespace penstock::differential
