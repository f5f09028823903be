// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/files.h"

#include "userspace/base/unique_fd.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace penstock::daemon {
namespace {

Result<void> write_all(int descriptor, std::string_view text, const std::string &path) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return system_error("write " + path, errno);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Result<void> sync_directory(const std::string &directory) {
    const UniqueFd handle(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!handle || ::fsync(handle.get()) != 0)
        return system_error("sync " + directory, errno);
    return {};
}

} // namespace

Result<std::string> read_file(const std::string &path, std::size_t limit) {
    // Not blocking, so that a FIFO in the way is refused instead of waited for.
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0)
        return system_error("read " + path, errno);
    if (!S_ISREG(status.st_mode))
        return fault("read " + path + ": not a regular file");
    std::string text;
    char buffer[65536];
    for (;;) {
        const ssize_t length = ::read(file.get(), buffer, sizeof buffer);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return system_error("read " + path, errno);
        if (length == 0)
            return text;
        text.append(buffer, static_cast<std::size_t>(length));
        if (text.size() > limit)
            return fault("read " + path + ": longer than " + std::to_string(limit) + " octets");
    }
}

Result<void> replace_file(const std::string &path, std::string_view text) {
    const std::string fresh = path + ".new";
    ::unlink(fresh.c_str()); // left by a crash
    UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file)
        return system_error("create " + fresh, errno);
    auto written = write_all(file.get(), text, fresh);
    if (written && ::fsync(file.get()) != 0)
        written = system_error("sync " + fresh, errno);
    if (written && ::rename(fresh.c_str(), path.c_str()) != 0)
        written = system_error("rename " + fresh + " to " + path, errno);
    if (!written) {
        ::unlink(fresh.c_str());
        return written;
    }
    return sync_directory(std::filesystem::path(path).parent_path().string());
}

std::string set_aside(const std::string &path, const Error &why) {
    const std::string aside = path + ".damaged";
    const std::string done = ::rename(path.c_str(), aside.c_str()) == 0
                                 ? "it was set aside as " + aside
                                 : system_error("and it could not be set aside", errno).message;
    return path + " is damaged, " + done + ": " + why.message;
}

Result<void> remove_file(const std::string &path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return system_error("remove " + path, errno);
    return sync_directory(std::filesystem::path(path).parent_path().string());
}

Result<void> make_directory(const std::string &path, unsigned mode) {
    std::error_code error;
    const bool made = std::filesystem::create_directories(path, error);
    if (error)
        return system_error("make directory " + path, error.value());
    if (made && ::chmod(path.c_str(), mode) != 0)
        return system_error("set mode of " + path, errno);
    return {};
}

} // namespace penstock::daemon
