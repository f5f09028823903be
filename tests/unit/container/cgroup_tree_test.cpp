// SPDX-License-Identifier: Apache-2.0
// The watch, on a directory tree of our own: it knows directories, and any file system tells of them alike.
#include "userspace/container/cgroup_tree.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <poll.h>
#include <set>
#include <thread>

using namespace penstock::container;
namespace fs = std::filesystem;

namespace {

struct FakeMount {
    FakeMount() {
        std::string pattern = (fs::temp_directory_path() / "penstock-tree-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        root = pattern;
    }
    ~FakeMount() { fs::remove_all(root); }
    void make(const std::string &path) const { fs::create_directories(root + path); }
    void remove(const std::string &path) const { fs::remove_all(root + path); }
    std::string root;
};

CgroupTree watch(const FakeMount &mount, const std::string &gate_root = "/") {
    auto tree = CgroupTree::make(mount.root, gate_root);
    REQUIRE(tree.has_value());
    return std::move(*tree);
}

std::set<std::string> paths(const CgroupTree &tree) {
    std::set<std::string> all;
    for (const auto &[path, node] : tree.nodes())
        all.insert(path);
    return all;
}

// inotify events are queued by the system call that causes them, so one read sees them all.
std::vector<std::string> changes(CgroupTree &tree) {
    std::vector<std::string> texts;
    for (const auto &change : tree.read_changes())
        texts.push_back((change.added ? "+" : "-") + change.node.path);
    return texts;
}

} // namespace

TEST_CASE("the first look finds the tree with ids and levels") {
    FakeMount mount;
    mount.make("/a/b");
    mount.make("/c");
    auto tree = watch(mount);
    CHECK(paths(tree) == std::set<std::string>{"/", "/a", "/a/b", "/c"});
    CHECK(tree.nodes().at("/a/b").level == 2);
    CHECK(tree.nodes().at("/a/b").id != tree.nodes().at("/a").id);
    CHECK(tree.unwatched() == 0);
}

TEST_CASE("the watch stays below the gate root") {
    FakeMount mount;
    mount.make("/gate/a");
    mount.make("/other");
    auto tree = watch(mount, "/gate");
    CHECK(paths(tree) == std::set<std::string>{"/gate", "/gate/a"});
    CHECK(tree.nodes().at("/gate/a").level == 2);
    mount.make("/other/b");
    CHECK(changes(tree).empty());
    CHECK(tree.look_at("/other/b").empty());
}

TEST_CASE("a gate root that is not there is an error") {
    FakeMount mount;
    CHECK_FALSE(CgroupTree::make(mount.root, "/absent").has_value());
}

TEST_CASE("directories made and removed are reported, nested ones too, parents first") {
    FakeMount mount;
    auto tree = watch(mount);
    mount.make("/a/b/c");
    CHECK(changes(tree) == std::vector<std::string>{"+/a", "+/a/b", "+/a/b/c"});
    mount.make("/a/b/d");
    CHECK(changes(tree) == std::vector<std::string>{"+/a/b/d"});
    mount.remove("/a");
    const auto gone = changes(tree);
    CHECK(std::set<std::string>(gone.begin(), gone.end()) ==
          std::set<std::string>{"-/a/b/c", "-/a/b/d", "-/a/b", "-/a"});
    CHECK(gone.back() == "-/a");
    CHECK(paths(tree) == std::set<std::string>{"/"});
}

TEST_CASE("a directory made again under its name is another one") {
    FakeMount mount;
    mount.make("/a");
    auto tree = watch(mount);
    const auto before = tree.nodes().at("/a").id;
    fs::rename(mount.root + "/a", mount.root + "/old"); // so that the inode number is not used again
    mount.make("/a");
    changes(tree);
    CHECK(tree.nodes().at("/a").id != before);
    CHECK(tree.nodes().at("/old").id == before);
    mount.make("/a/inside");
    CHECK(changes(tree) == std::vector<std::string>{"+/a/inside"});
}

TEST_CASE("looking at a path at once finds it before its event is read, and only once") {
    FakeMount mount;
    auto tree = watch(mount);
    mount.make("/a/b");
    const auto found = tree.look_at("/a/b");
    REQUIRE(found.size() == 2);
    CHECK(found[0].node.path == "/a");
    CHECK(found[1].node.path == "/a/b");
    CHECK(changes(tree).empty());
}

TEST_CASE("files are not cgroups") {
    FakeMount mount;
    auto tree = watch(mount);
    fs::copy_file("/proc/self/comm", mount.root + "/cgroup.procs");
    fs::create_directory_symlink("/", mount.root + "/link");
    CHECK(changes(tree).empty());
    tree.rescan();
    CHECK(paths(tree) == std::set<std::string>{"/"});
}

TEST_CASE("a tree that changes while it is read ends up known as it is") {
    FakeMount mount;
    auto tree = watch(mount);
    std::thread worker([&] {
        for (int i = 0; i < 300; ++i) {
            mount.make("/d" + std::to_string(i % 20) + "/e/f");
            if (i % 3 == 0)
                mount.remove("/d" + std::to_string(i % 20));
        }
    });
    for (int i = 0; i < 200; ++i)
        tree.read_changes();
    worker.join();
    tree.read_changes();
    std::set<std::string> real{"/"};
    for (const auto &entry : fs::recursive_directory_iterator(mount.root))
        real.insert(entry.path().string().substr(mount.root.size()));
    CHECK(paths(tree) == real);
}
