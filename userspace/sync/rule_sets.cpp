// SPDX-License-Identifier: Apache-2.0
// PolicyWriter's part for rule sets, which images share: one goes when no image names it and no program may still
// look it up.
#include "userspace/base/clock.h"
#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"

#include <algorithm>

namespace penstock::sync {

bool PolicyWriter::knows_all_contents() const {
    return std::ranges::all_of(known_, [](const auto &entry) { return entry.second.image != nullptr; });
}

// A policy adopted from the kernel whose image was not put yet may name any rule set: then collect_garbage() does this
// later.
Result<void> PolicyWriter::erase_unused_rule_sets(const policy::Image &image) {
    if (!knows_all_contents())
        return {};
    for (const auto &[set, entries] : image.rule_sets) {
        if (rule_set_uses_.contains(set))
            continue;
        for (const policy::PortEntry &entry : entries)
            if (const auto done = maps_->ports.erase(port_key(set, entry)); !done)
                return done.error();
    }
    return {};
}

Result<void> PolicyWriter::erase_after_grace() {
    const std::uint64_t now = monotonic_ns();
    while (!left_.empty() && left_.front().since_ns + std::chrono::nanoseconds(grace).count() <= now) {
        const ImagePtr image = left_.front().image;
        left_.erase(left_.begin());
        if (auto done = erase_unused_rule_sets(*image); !done)
            return done;
    }
    return {};
}

void PolicyWriter::use(Known &known, ImagePtr image) {
    if (known.image)
        return;
    for (const auto &[set, entries] : image->rule_sets)
        rule_set_uses_[set]++;
    known.image = std::move(image);
}

void PolicyWriter::unuse(Known &known) {
    for (const auto &[set, entries] : known.image->rule_sets)
        if (--rule_set_uses_[set] == 0)
            rule_set_uses_.erase(set);
    known.image = nullptr;
}

} // namespace penstock::sync
