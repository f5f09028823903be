// SPDX-License-Identifier: Apache-2.0
// Stacks of free numbers, and the counters that take their cells from one.
#include "userspace/kernel/maps.h"

#include <bpf/libbpf.h>
#include <utility>
#include <vector>

namespace penstock::kernel {
namespace {

std::size_t possible_cpus() {
    const int n = ::libbpf_num_possible_cpus();
    return n > 0 ? static_cast<std::size_t>(n) : 1;
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
        if (const auto done = push(n); !done)
            return done;
    return {};
}

CounterMap::CounterMap(RawMap keys, RawMap cells, FreeNumbers free)
    : keys_(std::move(keys)), cells_(std::move(cells)), free_(std::move(free)), cpus_(possible_cpus()) {}

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
    const auto erased = keys_.erase(key);
    if (!erased || !*erased)
        return erased;
    if (const auto back = free_.push(**cell); !back)
        return back.error();
    return true;
}

Result<void> CounterMap::for_each(const Wanted &wanted, const Visit &visit) const {
    std::vector<std::pair<abi::ps_counter_key, std::uint32_t>> rows;
    const auto walked = keys_.for_each([&](const auto &key, std::uint32_t cell) {
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

Result<std::uint64_t> CounterMap::size() const {
    std::uint64_t rows = 0;
    const auto walked = keys_.for_each([&](const auto &, std::uint32_t) { ++rows; });
    if (!walked)
        return walked.error();
    return rows;
}

} // namespace penstock::kernel
