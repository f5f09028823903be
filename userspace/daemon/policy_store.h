// SPDX-License-Identifier: Apache-2.0
// Policy texts on disk: the policy directory, those applied through the API, and the last accepted set. Blocking file
// access, no kernel, no loop: the daemon calls it from the pool.
#pragma once

#include "policy/load.h"
#include "userspace/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace penstock::daemon {

struct StoredSource {
    policy::Source source; // source.file: absolute path
    bool applied = false;  // came through POST /v1/policies
};

struct ReadSources {
    std::vector<StoredSource> sources; // by path
    policy::Diagnostics diagnostics;   // files that could not be read
};

class PolicyStore {
  public:
    // `directory`: the administrator's; `state`: ours.
    PolicyStore(std::string directory, std::string state);

    Result<void> prepare() const; // makes what is missing of the state directory

    // Both places. A missing policy directory is an error if `must_exist`: else a warning, as for a new machine.
    ReadSources read(bool must_exist) const;

    // The set in force, so that a restart in front of broken files enforces it.
    Result<void> save_accepted(const std::vector<StoredSource> &) const;
    Result<std::vector<StoredSource>> load_accepted() const; // error ENOENT: there is none

    // Where the applied policy of this name lives.
    std::string applied_path(std::string_view policy, policy::Format) const;

    const std::string &directory() const { return directory_; }
    const std::string &state() const { return state_; }

  private:
    void read_directory(const std::string &directory, bool applied, ReadSources &) const;

    std::string directory_, state_;
};

} // namespace penstock::daemon
