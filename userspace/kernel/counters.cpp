// SPDX-License-Identifier: Apache-2.0
// Stacks of free numbers, and the counters that take their cells from one.
#include "userspace/kernel/maps.h"

#include <algorithm>
#include <array>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cstring>
#include <utility>
#include <vector>

namespace penstock::kernel {
namespace {

std::size_t possible_cpus() {
    const int n = ::libbpf_num_possible_cpus();
    return n > 0 ? static_cast<std::size_t>(n) : 1;
}

// Runs a program that is attached nowhere on these octets, as those of a packet: no kernel takes less than 14.
template <class Asked> Result<bool> run(int program, const Asked &asked) {
    std::array<std::byte, 64> octets{};
    static_assert(sizeof asked <= sizeof octets);
    std::memcpy(octets.data(), &asked, sizeof asked);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = octets.data();
    options.data_size_in = octets.size();
    options.repeat = 1;
    if (const int failure = ::bpf_prog_test_run_opts(program, &options))
        return system_error("run a program on counter rows", -failure);
    return options.retval == 1;
}

} // namespace

// Emptied first: whoever began this before us may have died half way.
Result<void> FreeNumbers::fill(std::uint32_t first, std::uint32_t last) const {
    while (true) {
        const auto number = pop();
        if (!number)
            return number.error();
        if (!*number)
            break;
    }
    for (std::uint32_t n = last + 1; n-- > first;)
        if (auto done = push(n); !done)
            return done;
    return {};
}

CounterMap::CounterMap(RawMap keys, RawMap cells, FreeNumbers free, Programs programs)
    : keys_(std::move(keys)), cells_(std::move(cells)), free_(std::move(free)), programs_(programs),
      cpus_(possible_cpus()) {}

Result<abi::ps_counter> CounterMap::sum(std::uint32_t cell) const {
    std::vector<abi::ps_counter> each(cpus_);
    if (const auto found = cells_.lookup(&cell, each.data()); !found)
        return found.error();
    abi::ps_counter total{};
    for (const auto &one : each) {
        total.packets += one.packets;
        total.bytes += one.bytes;
    }
    return total;
}

Result<std::optional<abi::ps_counter>> CounterMap::lookup(const abi::ps_counter_key &key) const {
    const auto cell = keys_.lookup(key);
    if (!cell)
        return cell.error();
    if (!*cell)
        return std::optional<abi::ps_counter>();
    const auto total = sum(**cell);
    if (!total)
        return total.error();
    return std::optional(*total);
}

// In this order: whoever dies in between loses a cell, and never gives one to two rows.
Result<bool> CounterMap::erase(const abi::ps_counter_key &key) const {
    const auto cell = keys_.lookup(key);
    if (!cell)
        return cell.error();
    if (!*cell)
        return false;
    const std::vector<abi::ps_counter> zero(cpus_);
    if (const auto cleared = cells_.update(&**cell, zero.data()); !cleared)
        return cleared.error();
    auto erased = keys_.erase(key);
    if (!erased || !*erased)
        return erased;
    if (const auto back = free_.push(**cell); !back)
        return back.error();
    return true;
}

Result<void> CounterMap::for_each(const Wanted &wanted, const Visit &visit) const {
    std::vector<std::pair<abi::ps_counter_key, std::uint32_t>> rows;
    auto walked = keys_.for_each([&](const auto &key, std::uint32_t cell) {
        if (wanted(key))
            rows.emplace_back(key, cell);
    });
    if (!walked)
        return walked;
    for (const auto &[key, cell] : rows) {
        const auto total = sum(cell);
        if (!total)
            return total.error();
        visit(key, *total);
    }
    return {};
}

// A row that is erased or made meanwhile may be seen with another's counts.
Result<std::vector<std::uint64_t>> CounterMap::packets_by_slot(std::uint32_t next_cell) const {
    std::vector<std::uint64_t> cells(std::min(next_cell, cells_.max_entries()));
    const auto all_cpus = cells_.per_cpu(cpus_);
    RawMap::Walk walk;
    while (!walk.done) {
        std::uint32_t last = 0;
        const auto visited = all_cpus.visit_some(walk, [&](const void *key, const void *value) {
            last = *static_cast<const std::uint32_t *>(key);
            const auto *each = static_cast<const abi::ps_counter *>(value);
            for (std::size_t cpu = 0; last < cells.size() && cpu < cpus_; ++cpu)
                cells[last] += each[cpu].packets;
        });
        if (!visited)
            return visited.error();
        walk.done = walk.done || last + 1 >= cells.size();
    }
    std::vector<std::uint64_t> slots(abi::PS_SLOTS);
    const auto walked = keys_.for_each([&](const abi::ps_counter_key &key, std::uint32_t cell) {
        if (cell < cells.size() && key.slot < slots.size())
            slots[key.slot] += cells[cell];
    });
    if (!walked)
        return walked.error();
    return slots;
}

Result<bool> CounterMap::retire(const abi::ps_counter_key &key, std::uint32_t number) const {
    return run(programs_.retire, abi::ps_retire{key, number, 0});
}

Result<bool> CounterMap::fold(const abi::ps_counter_key &retired) const {
    return run(programs_.fold, retired);
}

Result<void> CounterMap::for_each_key(const std::function<void(const abi::ps_counter_key &)> &visit) const {
    return keys_.for_each([&](const abi::ps_counter_key &key, std::uint32_t) { visit(key); });
}

Result<std::uint64_t> CounterMap::size() const {
    std::uint64_t rows = 0;
    const auto walked = for_each_key([&](const auto &) { ++rows; });
    if (!walked)
        return walked.error();
    return rows;
}

} // namespace penstock::kernel
