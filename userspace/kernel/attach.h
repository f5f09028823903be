// SPDX-License-Identifier: Apache-2.0
// Programs to pinned links. A program that is attached already is replaced in its link: never detach and attach, or
// packets pass unjudged in between.
#pragma once

#include "userspace/base/result.h"

#include <cstdint>
#include <filesystem>

struct bpf_program;

namespace penstock::kernel {

struct AttachPoint {
    int root_fd = -1; // the gate root's directory
    std::uint64_t root_id = 0;
    std::filesystem::path links; // folder of pins
};

// The link is pinned as links/<program name>.
Result<void> attach(bpf_program *, const AttachPoint &);

} // namespace penstock::kernel
