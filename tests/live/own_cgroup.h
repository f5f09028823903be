// SPDX-License-Identifier: Apache-2.0
// A gate root and a bpffs folder of the test's own, removed whatever happens.
#pragma once

#include "tests/catch_result.h"
#include "userspace/base/cgroup_mount.h"
#include "userspace/kernel/gate.h"
#include "userspace/kernel/unload.h"

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <unistd.h>

namespace penstock::test {

class OwnCgroup {
  public:
    OwnCgroup() {
        static int made = 0;
        const std::string name = "penstock-test-" + std::to_string(::getpid()) + "-" + std::to_string(made++);
        mount_ = cgroup_mount().value();
        root = mount_ / name;
        bpffs = std::filesystem::path("/sys/fs/bpf") / name;
        std::filesystem::create_directory(root);
    }
    OwnCgroup(const OwnCgroup &) = delete;
    OwnCgroup &operator=(const OwnCgroup &) = delete;
    ~OwnCgroup() {
        static_cast<void>(
            kernel::detach_all(bpffs)); // the test says what it expects of it; this is only the broom
        remove_tree(root);
    }

    kernel::GateOptions options() const {
        kernel::GateOptions options;
        options.gate_root = root;
        options.bpffs = bpffs;
        return options;
    }
    std::filesystem::path make_child(const std::string &name) const {
        std::filesystem::create_directory(root / name);
        return root / name;
    }
    std::uint32_t level(const std::filesystem::path &path) const {
        return cgroup_level(mount_, path).value();
    }

    std::filesystem::path root, bpffs;

  private:
    static void remove_tree(const std::filesystem::path &folder) {
        std::error_code ignored;
        for (const auto &entry : std::filesystem::directory_iterator(folder, ignored))
            if (entry.is_directory(ignored))
                remove_tree(entry.path());
        ::rmdir(folder.c_str());
    }
    std::filesystem::path mount_;
};

// True as soon as the condition holds; false after two seconds.
template <class Condition> bool soon(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

} // namespace penstock::test
