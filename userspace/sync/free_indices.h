// SPDX-License-Identifier: Apache-2.0
// Which places of an array map are taken, where only the daemon gives them. Not kept: read again from the map that names
// them, so that no crash loses one or gives one twice. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::sync {

class FreeIndices {
  public:
    explicit FreeIndices(std::uint32_t size) : taken_(size) {}

    void set_taken(std::uint32_t index) {
        if (index < taken_.size())
            taken_[index] = true;
    }
    void give_back(std::uint32_t index) {
        if (index < taken_.size())
            taken_[index] = false;
    }
    // The next free one after the last taken, so that one that was given back rests for as long as there are others.
    std::optional<std::uint32_t> take() {
        for (std::size_t tried = 0; tried < taken_.size(); tried++) {
            const auto index = static_cast<std::uint32_t>((next_ + tried) % taken_.size());
            if (taken_[index])
                continue;
            taken_[index] = true;
            next_ = index + 1;
            return index;
        }
        return std::nullopt;
    }

  private:
    std::vector<bool> taken_;
    std::size_t next_ = 0;
};

} // namespace penstock::sync
