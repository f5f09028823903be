// SPDX-License-Identifier: Apache-2.0
// The skeleton, loaded with the maps that are pinned already or new ones. What this kernel refuses of the optional
// programs is left out and told.
#pragma once

#include "userspace/kernel/features.h"
#include "userspace/kernel/gate.h"

#include <memory>

struct penstock_bpf;
struct bpf_object;

namespace penstock::kernel {

struct CloseSkeleton {
    void operator()(penstock_bpf *) const;
};

struct LoadedObject {
    std::unique_ptr<penstock_bpf, CloseSkeleton> skeleton;
    bpf_object *object = nullptr; // of the skeleton
    Features features;
};

Result<LoadedObject> load_object(const GateOptions &, const std::filesystem::path &map_pins);

} // namespace penstock::kernel
