// SPDX-License-Identifier: Apache-2.0
// Counters of containers that are gone, added up, so that no sum ever goes back. Kept in a file of the
// state directory. A value with text form; the caller writes the file.
//
// A slot's counters are folded in three steps, so that a crash at any point neither loses nor repeats one:
//   1. fold(): its rows are added here and the slot is noted as pending; the file is written;
//   2. its keys are deleted from the kernel's map, the slot is given back;
//   3. settled(): the note goes; the file is written with the next fold.
// After a restart a pending slot whose serial is still the kernel's is at step 2: delete, do not add.
#pragma once

#include "bpf/abi.h"
#include "userspace/base/result.h"

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace penstock::telemetry {

class Totals {
  public:
    struct Key {
        std::uint64_t rule = 0;
        std::uint8_t direction = 0, verdict = 0, reason = 0;
        auto operator<=>(const Key &) const = default;
    };
    struct Sum {
        std::uint64_t packets = 0, bytes = 0;
    };
    struct RuleName {
        std::string policy, rule;
    };
    using Slot = std::pair<std::uint32_t, std::uint32_t>; // slot, serial

    void add(const Key &, const Sum &, const RuleName *name);
    void fold(Slot slot) { pending_.insert(slot); }
    void settled(Slot slot) { pending_.erase(slot); }
    bool is_pending(Slot slot) const { return pending_.contains(slot); }

    const std::map<Key, Sum> &sums() const { return sums_; }
    const RuleName *name(std::uint64_t rule) const;
    const std::set<Slot> &pending() const { return pending_; }

    std::string text() const;
    static Result<Totals> parse(std::string_view text);

  private:
    std::map<Key, Sum> sums_;
    std::map<std::uint64_t, RuleName> names_; // of the rules in sums_, as long as they were known
    std::set<Slot> pending_;
};

} // namespace penstock::telemetry
