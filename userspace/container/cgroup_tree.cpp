// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/cgroup_tree.h"

#include "userspace/container/path.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <set>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace penstock::container {
namespace {

constexpr std::uint32_t watch_mask =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK;

struct CloseDirectory {
    void operator()(DIR *directory) const { ::closedir(directory); }
};

std::vector<std::string> subdirectories(int directory) {
    std::vector<std::string> names;
    const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); // own read position
    if (copy < 0)
        return names;
    const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(copy));
    if (!stream) {
        ::close(copy);
        return names;
    }
    while (const dirent *entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        // Some file systems give no type; then the open with O_DIRECTORY decides.
        if (name != "." && name != ".." && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            names.emplace_back(name);
    }
    return names;
}

} // namespace

CgroupTree::CgroupTree(UniqueFd inotify, std::string mount, std::string gate_root)
    : inotify_(std::move(inotify)), mount_(std::move(mount)), gate_root_(std::move(gate_root)) {}

Result<CgroupTree> CgroupTree::make(std::string mount, std::string gate_root) {
    UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify)
        return system_error("watch cgroups: inotify_init1", errno);
    CgroupTree tree(std::move(inotify), std::move(mount), std::move(gate_root));
    tree.rescan();
    if (tree.nodes_.empty())
        return system_error("watch cgroups: open " + tree.mount_ + tree.gate_root_, ENOENT);
    return tree;
}

std::vector<TreeChange> CgroupTree::rescan() {
    std::vector<TreeChange> changes;
    unwatched_ = 0;
    reconcile(gate_root_, true, changes);
    return changes;
}

std::vector<TreeChange> CgroupTree::look_at(std::string_view path) {
    std::vector<TreeChange> changes;
    const std::string target = normal_path(path);
    if (!is_at_or_below(target, gate_root_))
        return changes;
    // The highest ancestor not known yet brings in everything below it; a known parent needs no look.
    for (std::size_t end = target.find('/', 1);; end = target.find('/', end + 1)) {
        const std::string prefix = target.substr(0, end);
        const bool self = prefix.size() == target.size();
        if (is_at_or_below(prefix, gate_root_) && (self || !nodes_.contains(prefix))) {
            reconcile(prefix, false, changes);
            return changes;
        }
        if (self)
            return changes;
    }
}

// Makes the record of `path` agree with the directory. `recurse`: look below a known one, too.
void CgroupTree::reconcile(const std::string &path, bool recurse, std::vector<TreeChange> &changes) {
    std::vector<std::string> pending{path};
    while (!pending.empty()) {
        const std::string current = std::move(pending.back());
        pending.pop_back();

        const UniqueFd directory(
            ::open((mount_ + current).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        struct stat status {};
        const bool exists = directory && ::fstat(directory.get(), &status) == 0;
        const auto known = nodes_.find(current);
        const bool same = exists && known != nodes_.end() && known->second.id == status.st_ino;
        if (known != nodes_.end() && !same)
            drop(current, changes);
        if (!exists || (same && !recurse))
            continue;
        if (!same)
            add(current, directory.get(), status.st_ino, changes);
        else if (!watch_of_.contains(current))
            ++unwatched_;

        std::set<std::string> children;
        for (const auto &name : subdirectories(directory.get()))
            children.insert(child_path(current, name));
        if (same) // known children that are gone are found by looking for them
            for (auto it = nodes_.upper_bound(current); it != nodes_.end() && it->first.starts_with(current);
                 ++it)
                if (parent_path(it->first) == current)
                    children.insert(it->first);
        pending.insert(pending.end(), children.rbegin(), children.rend());
    }
}

void CgroupTree::add(const std::string &path, int directory, std::uint64_t id,
                     std::vector<TreeChange> &changes) {
    // Through the open descriptor: the path may name another directory by now.
    const std::string exact = "/proc/self/fd/" + std::to_string(directory);
    const int watch = ::inotify_add_watch(inotify_.get(), exact.c_str(), watch_mask);
    if (watch < 0) {
        ++unwatched_;
    } else {
        watched_[watch] = path;
        watch_of_[path] = watch;
    }
    CgroupNode node{path, id, static_cast<std::uint32_t>(components(path).size())};
    nodes_.insert_or_assign(path, node);
    changes.push_back({true, std::move(node)});
}

void CgroupTree::drop(const std::string &path, std::vector<TreeChange> &changes) {
    std::vector<std::string> paths;
    const std::string below = path == "/" ? path : path + '/';
    if (nodes_.contains(path))
        paths.push_back(path);
    for (auto it = nodes_.lower_bound(below); it != nodes_.end() && it->first.starts_with(below); ++it)
        if (it->first != path)
            paths.push_back(it->first);
    std::ranges::reverse(paths); // what is below goes first
    for (const auto &gone : paths) {
        changes.push_back({false, nodes_.at(gone)});
        nodes_.erase(gone);
        if (const auto watch = watch_of_.find(gone); watch != watch_of_.end()) {
            ::inotify_rm_watch(inotify_.get(), watch->second); // gone already where the directory is
            watched_.erase(watch->second);
            watch_of_.erase(watch);
        }
    }
}

std::vector<TreeChange> CgroupTree::read_changes() {
    std::vector<TreeChange> changes;
    alignas(inotify_event) std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t length = ::read(inotify_.get(), buffer.data(), buffer.size());
        if (length <= 0)
            return changes; // EAGAIN: all read
        for (std::size_t at = 0; at < static_cast<std::size_t>(length);) {
            inotify_event event;
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char *name = buffer.data() + at + sizeof event;
            at += sizeof event + event.len;
            if (event.mask & IN_Q_OVERFLOW) {
                ++overflows_;
                unwatched_ = 0;
                reconcile(gate_root_, true, changes);
                continue;
            }
            const auto watched = watched_.find(event.wd);
            if (event.len == 0 || !(event.mask & IN_ISDIR) || watched == watched_.end())
                continue;
            const std::string path = child_path(watched->second, name);
            reconcile(path, false, changes);
        }
    }
}

} // namespace penstock::container
