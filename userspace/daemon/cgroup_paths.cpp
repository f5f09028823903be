// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/cgroup_paths.h"

#include "userspace/base/cgroup_mount.h"
#include "userspace/container/path.h"

#include <unistd.h>

namespace penstock::daemon {
namespace {

std::string below_mount(const std::string &mount, const std::string &path) {
    if (path.empty() || path == mount)
        return "/";
    return container::normal_path(
        container::is_at_or_below(path, mount) && mount != "/" ? path.substr(mount.size()) : path);
}

} // namespace

Result<CgroupPaths> cgroup_paths(const std::string &mount, const Config &config) {
    CgroupPaths paths{mount, below_mount(mount, config.gate_root), mount, config.birth};
    if (paths.gate_root != "/")
        paths.gate_directory += paths.gate_root;
    for (auto &root : paths.birth.strict_roots) {
        root.text = below_mount(mount, root.text);
        if (!container::is_at_or_below(root.text, paths.gate_root))
            return fault("strict root " + root.text + " is outside the gate root " + paths.gate_root +
                         ": nothing would be enforced in it");
    }
    return paths;
}

Result<void> check_cgroup_paths(const Config &config) {
    const auto mount = cgroup_mount();
    if (!mount)
        return {};
    if (const auto paths = cgroup_paths(mount->string(), config); !paths)
        return paths.error();
    return {};
}

std::vector<std::string> absent_strict_roots(const CgroupPaths &paths) {
    std::vector<std::string> sentences;
    for (const auto &root : paths.birth.strict_roots)
        if (::access((paths.mount + root.text).c_str(), F_OK) != 0)
            sentences.push_back("strict root " + root.text +
                                " does not exist: it is enforced from the moment it is made");
    return sentences;
}

} // namespace penstock::daemon
