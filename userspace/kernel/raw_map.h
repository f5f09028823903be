// SPDX-License-Identifier: Apache-2.0
// The system calls on a BPF map, on bytes: what maps.h is made of. Keeps libbpf's headers out of it.
#pragma once

#include "userspace/base/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace penstock::kernel {

// A borrowed map: whoever owns the descriptor outlives it.
class RawMap {
  public:
    RawMap() = default;
    RawMap(int fd, std::string name, std::size_t key_size, std::size_t value_size, std::uint32_t max_entries)
        : fd_(fd), name_(std::move(name)), key_size_(key_size), value_size_(value_size),
          max_entries_(max_entries) {}

    enum class Write { any, only_new, only_existing };

    const std::string &name() const { return name_; }
    std::uint32_t max_entries() const { return max_entries_; }

    Result<bool> lookup(const void *key, void *value) const; // false: no such key
    Result<void> update(const void *key, const void *value, Write = Write::any) const;
    Result<bool> erase(const void *key) const; // false: there was none
    // All or, with an error, the first `done`.
    Result<void> update_all(const void *keys, const void *values, std::uint32_t count,
                            std::uint32_t &done) const;
    // The same map of which a value is those of all CPUs, one behind the other: what walks of a per-CPU map need.
    RawMap per_cpu(std::size_t cpus) const {
        return {fd_, name_, key_size_, value_size_ * cpus, max_entries_};
    }
    using Visit = std::function<void(const void *key, const void *value)>;
    Result<void> for_each(const Visit &) const;
    // A walk in slices: each call visits the next part of the map, until `done`.
    struct Walk {
        std::vector<std::byte> at; // empty: not begun
        std::uint32_t room = 0;
        bool done = false;
    };
    Result<void> visit_some(Walk &, const Visit &) const;
    // Stack and queue maps.
    Result<void> push(const void *value) const;
    Result<bool> pop(void *value) const; // false: empty

  protected:
    Error failed(const char *what, int number) const;

    int fd_ = -1;
    std::string name_;
    std::size_t key_size_ = 0, value_size_ = 0;
    std::uint32_t max_entries_ = 0;
};

} // namespace penstock::kernel
