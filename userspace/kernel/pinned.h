// SPDX-License-Identifier: Apache-2.0
// Which very links and maps are pinned, so that it is seen when they are not any more: a path says nothing, as another
// daemon may have pinned its own there since.
#pragma once

#include "userspace/base/result.h"
#include "userspace/kernel/bpffs.h"

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::kernel {

struct LostPins {
    std::vector<std::string> links; // by name: gone, another's, or cut: what they enforced is off
    std::vector<std::string> maps;  // gone or another's: the next start would not find what is in them
};

class Pinned {
  public:
    // All that is in the folders now. Links of cgroups must be attached to this one.
    static Result<Pinned> read(const PinFolders &, std::uint64_t root_id);

    LostPins lost() const;

  private:
    struct Pin {
        std::filesystem::path path;
        std::uint32_t id = 0; // the kernel's number of the object
    };
    std::vector<Pin> links_, maps_;
    std::uint64_t root_id_ = 0;
};

} // namespace penstock::kernel
