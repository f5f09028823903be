// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/activity.h"

namespace penstock::telemetry {

void Activity::begin(std::uint64_t now_ns) {
    now_ns_ = now_ns;
    if (++round_ == 1)
        first_ns_ = now_ns;
}

// Who was born after the first round began at nothing; what others counted may be of any time.
void Activity::look(std::uint32_t slot, std::uint32_t serial, std::uint64_t born_ns, std::uint64_t counted) {
    Seen &seen = slots_[slot];
    const bool is_new = seen.round == 0 || seen.serial != serial;
    const bool is_young = born_ns > first_ns_;
    if (is_new)
        seen = {serial, is_young ? 0 : counted, 0, {std::nullopt, is_young ? born_ns : now_ns_, 0}};
    if (seen.counted != counted)
        seen.idle.last_ns = now_ns_;
    seen.counted = counted;
    seen.idle.as_of_ns = now_ns_;
    seen.round = round_;
}

void Activity::end() {
    std::erase_if(slots_, [this](const auto &each) { return each.second.round != round_; });
}

std::optional<Activity::Idle> Activity::of(std::uint32_t slot, std::uint32_t serial) const {
    const auto found = slots_.find(slot);
    if (found == slots_.end() || found->second.serial != serial)
        return std::nullopt;
    return found->second.idle;
}

} // namespace penstock::telemetry
