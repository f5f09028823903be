// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/cgroup_mount.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <vector>

namespace penstock {
namespace {

std::vector<std::string_view> split(std::string_view line) {
    std::vector<std::string_view> fields;
    while (!line.empty()) {
        const std::size_t end = line.find(' ');
        fields.push_back(line.substr(0, end));
        line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
    }
    return fields;
}

// mountinfo writes blank, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out +=
                static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

// id parent major:minor root mountpoint options [tags...] - type source options
std::optional<std::string> whole_cgroup_mount(std::string_view line) {
    const std::vector<std::string_view> fields = split(line);
    std::size_t dash = 6;
    while (dash < fields.size() && fields[dash] != "-")
        dash++;
    if (dash + 1 >= fields.size() || fields[dash + 1] != "cgroup2" || fields[3] != "/")
        return std::nullopt;
    return unescape(fields[4]);
}

constexpr std::uint64_t root_cgroup_id = 1;

} // namespace

std::optional<std::filesystem::path> find_cgroup_mount(std::string_view mountinfo) {
    while (!mountinfo.empty()) {
        const std::size_t end = mountinfo.find('\n');
        if (auto mount = whole_cgroup_mount(mountinfo.substr(0, end)))
            return std::filesystem::path(*mount);
        mountinfo = end == std::string_view::npos ? std::string_view() : mountinfo.substr(end + 1);
    }
    return std::nullopt;
}

Result<std::filesystem::path> cgroup_mount() {
    std::ifstream file("/proc/self/mountinfo");
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file)
        return system_error("read /proc/self/mountinfo", errno);
    const auto mount = find_cgroup_mount(text);
    if (!mount)
        return fault("no cgroup v2 mount in /proc/self/mountinfo (mount -t cgroup2 none /sys/fs/cgroup)");
    const auto id = cgroup_id(*mount);
    if (!id)
        return id.error();
    if (*id != root_cgroup_id)
        return fault(mount->string() +
                     " shows only a cgroup namespace's part of the tree; the host's is needed");
    return *mount;
}

Result<std::uint64_t> cgroup_id(const std::filesystem::path &directory) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0)
        return system_error("look at cgroup " + directory.string(), errno);
    if (!S_ISDIR(status.st_mode))
        return system_error("look at cgroup " + directory.string(), ENOTDIR);
    return static_cast<std::uint64_t>(status.st_ino);
}

Result<std::uint32_t> cgroup_level(const std::filesystem::path &mount,
                                   const std::filesystem::path &directory) {
    const auto below = directory.lexically_normal().lexically_relative(mount.lexically_normal());
    if (below.empty() || *below.begin() == "..")
        return fault(directory.string() + " is not below the cgroup mount " + mount.string());
    std::uint32_t level = 0;
    for (const auto &name : below)
        level += !name.empty() && name != ".";
    return level;
}

} // namespace penstock
