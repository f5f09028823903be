// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf_host/kernel_host.h"

#include <linux/bpf.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

namespace penstock::bpf_host {

namespace {

struct Free {
    void operator()(void *memory) const { std::free(memory); }
};

struct Maps {
    std::map<const void *, std::unique_ptr<char, Free>> arrays; // by calloc: large, and mostly never touched
    std::map<const void *, std::map<std::string, std::unique_ptr<char[]>>> hashes;
    std::map<const void *, std::vector<std::uint32_t>> stacks;
};
Maps &maps() {
    static Maps all;
    return all;
}

std::string text(const void *key, std::size_t size) {
    return {static_cast<const char *>(key), size};
}

void *element(const void *map, std::size_t entries, const void *key, std::size_t size) {
    auto &memory = maps().arrays[map];
    if (!memory)
        memory.reset(static_cast<char *>(std::calloc(entries, size)));
    std::uint32_t index = 0;
    std::memcpy(&index, key, sizeof index);
    return index < entries ? memory.get() + index * size : nullptr;
}

void *entry(const void *map, const void *key, std::size_t key_size) {
    auto &entries = maps().hashes[map];
    const auto place = entries.find(text(key, key_size));
    return place == entries.end() ? nullptr : place->second.get();
}

} // namespace

Kernel &Kernel::get() {
    static Kernel one;
    return one;
}

void Kernel::forget() {
    maps() = {};
    events.clear();
}

} // namespace penstock::bpf_host

using namespace penstock::bpf_host;

extern "C" {

void *host__lookup(void *map, std::uint32_t type, std::uint32_t entries, const void *key,
                   std::size_t key_size, std::size_t value_size) {
    return type == BPF_MAP_TYPE_HASH ? entry(map, key, key_size) : element(map, entries, key, value_size);
}

long host__update(void *map, std::uint32_t type, std::uint32_t entries, const void *key, std::size_t key_size,
                  const void *value, std::size_t value_size, std::uint64_t flags) {
    void *to = host__lookup(map, type, entries, key, key_size, value_size);
    if (to && flags == BPF_NOEXIST)
        return -EEXIST;
    if (!to && type != BPF_MAP_TYPE_HASH)
        return -E2BIG;
    if (!to) {
        auto &made = maps().hashes[map][text(key, key_size)];
        made = std::make_unique<char[]>(value_size);
        to = made.get();
    }
    std::memcpy(to, value, value_size);
    return 0;
}

long bpf_map_push_elem(void *map, const void *value, std::uint64_t) {
    maps().stacks[map].push_back(*static_cast<const std::uint32_t *>(value));
    return 0;
}

long bpf_map_peek_elem(void *map, void *value) {
    const auto &stack = maps().stacks[map];
    if (stack.empty())
        return -ENOENT;
    *static_cast<std::uint32_t *>(value) = stack.back();
    return 0;
}

long bpf_map_pop_elem(void *map, void *value) {
    const long failure = bpf_map_peek_elem(map, value);
    if (!failure)
        maps().stacks[map].pop_back();
    return failure;
}

std::uint64_t bpf_ringbuf_query(void *, std::uint64_t what) {
    return what == BPF_RB_RING_SIZE ? 1 << 20 : 0; // somebody always reads
}

void *bpf_ringbuf_reserve(void *, std::uint64_t size, std::uint64_t) {
    return std::malloc(size);
}

void bpf_ringbuf_submit(void *record, std::uint64_t) {
    Kernel::get().events.push_back(*static_cast<const penstock::abi::ps_event *>(record));
    std::free(record);
}

std::uint64_t bpf_ktime_get_ns(void) {
    return Kernel::get().monotonic_ns;
}
std::uint64_t bpf_ktime_get_coarse_ns(void) {
    return Kernel::get().monotonic_ns;
}
std::uint64_t bpf_jiffies64(void) {
    return Kernel::get().boot_ns; // the clocks are never late
}
std::uint64_t bpf_ktime_get_boot_ns(void) {
    return Kernel::get().boot_ns;
}

long bpf_skb_load_bytes(const void *, std::uint32_t, void *, std::uint32_t) {
    std::abort();
}
std::uint64_t bpf_skb_ancestor_cgroup_id(void *, int) {
    std::abort();
}
std::uint64_t bpf_get_current_ancestor_cgroup_id(int) {
    std::abort();
}
}
