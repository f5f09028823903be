// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "userspace/base/result.h"

#include <cstddef>
#include <string>

namespace penstock::kernel {

// A memory-mapped array map: reads and atomic writes without system calls. Move-only owner of the mapping.
class MappedArray {
  public:
    static Result<MappedArray> open(int fd, const std::string &name, std::size_t bytes);
    MappedArray() = default;
    MappedArray(MappedArray &&other) noexcept;
    MappedArray &operator=(MappedArray &&other) noexcept;
    ~MappedArray();
    void *data() const { return data_; }

  private:
    void *data_ = nullptr;
    std::size_t bytes_ = 0;
};

} // namespace penstock::kernel
