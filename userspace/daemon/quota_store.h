// SPDX-License-Identifier: Apache-2.0
// What containers have spent of their quotas, by names that outlive the kernel's maps: what `<state-dir>/quotas` holds. A
// value with text form; the caller writes the file. Knows no slots but as owners, and no clock: it is told the moment.
//
// In memory a window's end is a moment of this boot's CLOCK_BOOTTIME. The text says how much of the window is left and when
// that was, by that clock and the wall's: on the same boot the first counts, so that a step of the wall clock changes
// nothing; on another the wall's, and time that went backwards has stood still.
#pragma once

#include "userspace/base/result.h"

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::daemon {

struct Moment {
    std::int64_t wall_ns = 0;
    std::uint64_t boot_ns = 0;
    std::string boot; // id of the boot that boot_ns counts from
};
Moment moment_now();

struct QuotaKey {
    std::string container;    // cgroup path
    std::string policy, rule; // both empty: the container's own
    auto operator<=>(const QuotaKey &) const = default;
};

struct KeptQuota {
    std::uint64_t octets = 0, granted = 0, told = 0; // as in kernel::QuotaWindow
    std::uint64_t window_ns = 0;
    std::uint64_t turns_ns = 0;         // CLOCK_BOOTTIME
    std::uint32_t slot = 0, serial = 0; // whose budget says so; 0: of no row there is
    std::uint64_t start_ns() const { return turns_ns - window_ns; } // modulo 2^64
    bool operator==(const KeptQuota &) const = default;
};

class QuotaStore {
  public:
    using Map = std::map<QuotaKey, KeptQuota>;
    static constexpr std::size_t most =
        131072; // more than the kernel has budgets: room for containers that are gone
    static constexpr std::size_t largest = 64UL * 1024 * 1024; // octets of the text

    Map &all() { return quotas_; }
    const Map &all() const { return quotas_; }
    Map::iterator first_of(const std::string &container) { return quotas_.lower_bound({container, "", ""}); }

    // Forgets windows that are over, and of containers that are gone as many as it takes to keep to `room`: those first
    // whose windows turn first. How many were forgotten for want of room.
    std::size_t trim(std::uint64_t boot_ns, std::size_t room = most);

    using Entries = std::vector<std::pair<QuotaKey, KeptQuota>>; // a copy for another thread to write

    // Of windows that are not over. What would not fit into `room` octets is left out and counted.
    struct Text {
        std::string octets;
        std::size_t left_out = 0;
    };
    static Text text(const Entries &, const Moment &now, std::size_t room = largest);
    static Result<QuotaStore> parse(std::string_view text, const Moment &now);

  private:
    Map quotas_;
};

} // namespace penstock::daemon
