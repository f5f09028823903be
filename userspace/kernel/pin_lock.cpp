// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/pin_lock.h"

#include "userspace/kernel/bpffs.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>

namespace penstock::kernel {

bool is_still_there(const UniqueFd &folder, const std::filesystem::path &bpffs) {
    struct stat held {
    }, found{};
    return ::fstat(folder.get(), &held) == 0 && ::stat(bpffs.c_str(), &found) == 0 &&
           held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

Result<UniqueFd> lock_pins(const std::filesystem::path &bpffs, std::chrono::milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const auto place = make_pin_place(bpffs);
        if (!place)
            return place.error();
        UniqueFd folder(::open(place->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!folder && errno != ENOENT)
            return system_error("open " + place->string(), errno);
        if (folder && ::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) {
            // Who had the lock before may have removed the folder: then ours is of one that nobody finds any more.
            if (is_still_there(folder, *place))
                return folder;
        } else if (folder && errno != EWOULDBLOCK) {
            return system_error("lock " + place->string(), errno);
        }
        if (std::chrono::steady_clock::now() > deadline)
            return Error("another penstockd holds the pins in " + place->string(), EBUSY);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

bool has_no_pins(const std::filesystem::path &bpffs) {
    struct stat status {};
    return ::stat(bpffs.c_str(), &status) != 0 && errno == ENOENT;
}

} // namespace penstock::kernel
