// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lock.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>

namespace penstock::daemon {
namespace {

constexpr auto lock_patience = std::chrono::seconds(3);

} // namespace

Result<UniqueFd> lock_state(const std::string &state_dir) {
    const std::string path = state_dir + "/lock";
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file)
        return system_error("open " + path, errno);
    const auto deadline = std::chrono::steady_clock::now() + lock_patience;
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return system_error("lock " + path, errno);
        if (std::chrono::steady_clock::now() > deadline)
            return fault("another penstockd runs on " + state_dir);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return file;
}

} // namespace penstock::daemon
