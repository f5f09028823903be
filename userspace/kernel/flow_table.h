// SPDX-License-Identifier: Apache-2.0
// flows and heads of bpf/lib/maps.h: read and given back while the programs count in them.
#pragma once

#include "bpf/abi.h"
#include "userspace/kernel/mapped_array.h"

#include <cstdint>

namespace penstock::kernel {

// flows: rows of the flow log. An index comes from the gate, which other code writes: past the end there is nothing.
class FlowTable {
  public:
    FlowTable() = default;
    FlowTable(MappedArray memory, std::uint32_t size) : memory_(std::move(memory)), size_(size) {}

    bool is_used(std::uint32_t index) const;
    abi::ps_flow read(std::uint32_t index) const; // the sums whole, each field for itself
    // What the row carries has been told of, up to `now`.
    void note_told(std::uint32_t index, const abi::ps_flow &told, std::uint64_t now);
    // No socket adds to it by memory any more; its key in flow_ids is the caller's. `why` is not 0.
    void close(std::uint32_t index, std::uint32_t why);
    void clear(std::uint32_t index); // for one that no program can find any more
    std::uint32_t size() const { return size_; }

  private:
    abi::ps_flow *at(std::uint32_t index) const;
    MappedArray memory_;
    std::uint32_t size_ = 0;
};

// heads: how many rows a container has. The programs raise it, who frees rows lowers it.
class HeadTable {
  public:
    HeadTable() = default;
    explicit HeadTable(MappedArray memory) : memory_(std::move(memory)) {}
    void give_back(std::uint32_t slot, abi::ps_head kind); // one; never below 0

  private:
    MappedArray memory_;
};

} // namespace penstock::kernel
