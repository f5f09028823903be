// SPDX-License-Identifier: Apache-2.0
// The cgroup paths of the settings, in the one spelling that all rooms use: below the cgroup mount.
#pragma once

#include "userspace/base/result.h"
#include "userspace/daemon/config.h"

#include <string>
#include <vector>

namespace penstock::daemon {

struct CgroupPaths {
    std::string mount;          // "/sys/fs/cgroup"
    std::string gate_root;      // "/penstock.slice"; "/" is the mount itself
    std::string gate_directory; // the same as a directory of the file system
    container::BirthRules birth;
};

// Both spellings are taken: below the mount, and as a directory of the file system. An error if a strict root stands
// outside the gate root, where it could never be enforced.
Result<CgroupPaths> cgroup_paths(const std::string &mount, const Config &);

// The same on this machine, for who only wants to know whether the settings are in order. In order where there is no mount:
// a start will say so.
Result<void> check_cgroup_paths(const Config &);

// A sentence for each strict root that is not there now. It is taken up when it is made.
std::vector<std::string> absent_strict_roots(const CgroupPaths &);

} // namespace penstock::daemon
