// SPDX-License-Identifier: Apache-2.0
// Reads the rings of records: births and deaths, and denials. They are apart so that a flood of denials hides no birth, and
// what a reader loses is no verdict and no counter.
#pragma once

#include "bpf/abi.h"
#include "userspace/base/result.h"

#include <functional>
#include <memory>

namespace penstock::kernel {

class EventRing {
  public:
    using Callback = std::function<void(const abi::ps_event &)>;

    // Records of `births` are handed over before those of `denials`.
    static Result<EventRing> open(int births_fd, int denials_fd);
    EventRing(EventRing &&) noexcept;
    EventRing &operator=(EventRing &&) noexcept;
    ~EventRing();

    // Readable when there are events (an epoll descriptor: may itself be waited on).
    int descriptor() const;
    // Hands over what is there, without waiting; how many. At most `limit` if it is not 0, so that a flood cannot
    // hold the thread.
    Result<std::size_t> consume(const Callback &, std::size_t limit = 0);

  private:
    struct Reader;
    explicit EventRing(std::unique_ptr<Reader>);
    std::unique_ptr<Reader> reader_;
};

} // namespace penstock::kernel
