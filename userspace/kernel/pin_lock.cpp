// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/pin_lock.h"

#include "userspace/kernel/bpffs.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>

namespace penstock::kernel {
namespace {

// Who had the lock before may have removed the folder: then ours is of a folder that nobody finds any more.
bool is_still_there(int folder, const std::filesystem::path &path) {
    struct stat held {
    }, found{};
    return ::fstat(folder, &held) == 0 && ::stat(path.c_str(), &found) == 0 && held.st_dev == found.st_dev &&
           held.st_ino == found.st_ino;
}

} // namespace

Result<UniqueFd> lock_pins(const std::filesystem::path &bpffs, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        if (const auto made = make_pin_folders(bpffs); !made)
            return made.error();
        UniqueFd folder(::open(bpffs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!folder && errno != ENOENT)
            return system_error("open " + bpffs.string(), errno);
        if (folder && ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) {
            if (is_still_there(folder.get(), bpffs))
                return folder;
        } else if (folder && errno != EWOULDBLOCK) {
            return system_error("lock " + bpffs.string(), errno);
        }
        if (std::chrono::steady_clock::now() > deadline)
            return fault("another penstockd holds the pins in " + bpffs.string());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

bool has_no_pins(const std::filesystem::path &bpffs) {
    struct stat status {};
    return ::stat(bpffs.c_str(), &status) != 0 && errno == ENOENT;
}

} // namespace penstock::kernel
