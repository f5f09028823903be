// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/raw_map.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>

namespace penstock::kernel {
namespace {

constexpr std::uint32_t batch = 1024;

} // namespace

Error RawMap::failed(const char *what, int number) const {
    return system_error(std::string(what) + " map " + name_, number);
}

Result<bool> RawMap::lookup(const void *key, void *value) const {
    if (::bpf_map_lookup_elem(fd_, key, value) == 0)
        return true;
    if (errno == ENOENT)
        return false;
    return failed("read", errno);
}

Result<void> RawMap::update(const void *key, const void *value, Write how) const {
    const std::uint64_t flags = how == Write::any        ? BPF_ANY
                                : how == Write::only_new ? BPF_NOEXIST
                                                         : BPF_EXIST;
    if (::bpf_map_update_elem(fd_, key, value, flags) == 0)
        return {};
    const int number = errno;
    if (number == ENOSPC || number == E2BIG)
        return Error("map " + name_ + " is full (" + std::to_string(max_entries_) + " entries)", number);
    return failed("write", number);
}

Result<bool> RawMap::erase(const void *key) const {
    if (::bpf_map_delete_elem(fd_, key) == 0)
        return true;
    if (errno == ENOENT)
        return false;
    return failed("delete from", errno);
}

// In batches where the kernel has them for this map; what a batch could not write is tried once more on its own, for
// its own error or because there are no batches.
Result<void> RawMap::update_all(const void *keys, const void *values, std::uint32_t count,
                                std::uint32_t &done) const {
    const auto *key = static_cast<const std::byte *>(keys);
    const auto *value = static_cast<const std::byte *>(values);
    done = 0;
    while (done < count) {
        const std::uint32_t asked = std::min(batch, count - done);
        std::uint32_t n = asked;
        LIBBPF_OPTS(bpf_map_batch_opts, options);
        const int failure =
            ::bpf_map_update_batch(fd_, key + done * key_size_, value + done * value_size_, &n, &options);
        if (failure == 0) {
            done += asked;
            continue;
        }
        done += n < asked ? n : 0; // untouched by a kernel that refused before it began
        auto single = update(key + done * key_size_, value + done * value_size_);
        if (!single)
            return single;
        done++;
    }
    return {};
}

Result<void> RawMap::for_each(const Visit &visit) const {
    Walk walk;
    while (!walk.done)
        if (auto done = visit_some(walk, visit); !done)
            return done;
    return {};
}

// Batches see each entry once even while the programs add and delete; a walk by keys may start anew.
Result<void> RawMap::visit_some(Walk &walk, const Visit &visit) const {
    const std::uint32_t most = std::max(max_entries_, 1U);
    if (walk.room == 0)
        walk.room = std::min(batch, most);
    std::vector<std::byte> keys, values;
    std::vector<std::byte> next(std::max<std::size_t>(key_size_, 4));
    while (true) {
        keys.resize(walk.room * key_size_);
        values.resize(walk.room * value_size_);
        std::uint32_t n = walk.room;
        LIBBPF_OPTS(bpf_map_batch_opts, options);
        const int failure = ::bpf_map_lookup_batch(fd_, walk.at.empty() ? nullptr : walk.at.data(),
                                                   next.data(), keys.data(), values.data(), &n, &options);
        const int number = failure ? errno : 0;
        if (number == ENOSPC && walk.room < most) { // one hash bucket holds more than `room`
            walk.room = std::min(walk.room * 4, most);
            continue;
        }
        if (number && number != ENOENT)
            return failed("list", number);
        for (std::uint32_t i = 0; i < n; i++)
            visit(keys.data() + i * key_size_, values.data() + i * value_size_);
        walk.done = number == ENOENT;
        walk.at = std::move(next);
        return {};
    }
}

Result<void> RawMap::push(const void *value) const {
    if (::bpf_map_update_elem(fd_, nullptr, value, BPF_ANY) == 0)
        return {};
    return failed("push to", errno);
}

Result<bool> RawMap::pop(void *value) const {
    if (::bpf_map_lookup_and_delete_elem(fd_, nullptr, value) == 0)
        return true;
    if (errno == ENOENT)
        return false;
    return failed("pop from", errno);
}

} // namespace penstock::kernel
