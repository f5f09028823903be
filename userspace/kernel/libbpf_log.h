// SPDX-License-Identifier: Apache-2.0
// What libbpf says while this object lives, kept instead of printed, to go into an Error.
#pragma once

#include <string>

namespace penstock::kernel {

class LibbpfLog {
  public:
    LibbpfLog();
    ~LibbpfLog();
    LibbpfLog(const LibbpfLog &) = delete;
    LibbpfLog &operator=(const LibbpfLog &) = delete;

    std::string tail() const; // the lines that say what failed, on one line; empty if there are none
};

} // namespace penstock::kernel
