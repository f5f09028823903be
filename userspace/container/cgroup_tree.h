// SPDX-License-Identifier: Apache-2.0
// The cgroup directories below the gate root, kept current by inotify. Knows directories and nothing of
// policies, containers or the kernel's maps; works on any directory tree, so tests feed a fake one.
//
// Every event, whatever it says, leads to the same act: look at that path now and make the record agree.
// A new directory is watched first and listed then, so a child made in between is seen twice, never not
// at all. An overflow of the queue is answered by looking at everything.
#pragma once

#include "userspace/base/result.h"
#include "userspace/base/unique_fd.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace penstock::container {

struct CgroupNode {
    std::string path;        // relative to the cgroup mount: "/a/b"
    std::uint64_t id = 0;    // the directory's inode number, which is the kernel's cgroup id
    std::uint32_t level = 0; // depth: the mount is 0
};

struct TreeChange {
    bool added = false; // else removed
    CgroupNode node;
};

class CgroupTree {
  public:
    // Looks at everything below `gate_root` (normal path, itself included) of the tree mounted at `mount`.
    static Result<CgroupTree> make(std::string mount, std::string gate_root);

    int descriptor() const { return inotify_.get(); }

    // What changed since the last call, parents before children, removals deepest first. Never blocks.
    std::vector<TreeChange> read_changes();

    // The same for one path, without waiting for its event.
    std::vector<TreeChange> look_at(std::string_view path);

    // The same for everything; needed from time to time only where unwatched() is not 0.
    std::vector<TreeChange> rescan();

    const std::map<std::string, CgroupNode> &nodes() const { return nodes_; }
    std::size_t unwatched() const { return unwatched_; } // directories beyond the limit of inotify watches
    std::uint64_t overflows() const { return overflows_; }

  private:
    CgroupTree(UniqueFd inotify, std::string mount, std::string gate_root);

    void reconcile(const std::string &path, bool recurse, std::vector<TreeChange> &changes);
    void add(const std::string &path, int directory, std::uint64_t id, std::vector<TreeChange> &changes);
    void drop(const std::string &path, std::vector<TreeChange> &changes);

    UniqueFd inotify_;
    std::string mount_;
    std::string gate_root_;
    std::map<std::string, CgroupNode> nodes_;      // by path; a directory's descendants follow it
    std::unordered_map<int, std::string> watched_; // watch descriptor -> path
    std::unordered_map<std::string, int> watch_of_;
    std::size_t unwatched_ = 0;
    std::uint64_t overflows_ = 0;
};

} // namespace penstock::container
