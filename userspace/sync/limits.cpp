// SPDX-License-Identifier: Apache-2.0
// PolicyWriter's part for limits. A place of `limits` is written before a key names it and is no other's until that key is
// gone: what a binding's policy names never changes.
#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"

#include <cerrno>
#include <unordered_set>
#include <utility>

namespace penstock::sync {

Result<void> PolicyWriter::adopt_limits() {
    return maps_->limit_ids.for_each(
        [&](const abi::ps_limits_key &, std::uint32_t index) { limit_places_.set_taken(index); });
}

Result<void> PolicyWriter::write_limits(std::uint16_t id, const policy::Image &image) {
    for (const auto &[rule, limits] : image.limits) {
        const auto place = limit_places_.take();
        if (!place)
            return Error{"map limits is full", ENOSPC};
        auto done = maps_->limits.update(*place, limits);
        if (done)
            done = maps_->limit_ids.update(limits_key(id, rule), *place);
        if (!done) {
            limit_places_.give_back(*place);
            return done;
        }
        written_ += 2;
    }
    return {};
}

Result<void> PolicyWriter::erase_limit(const abi::ps_limits_key &key, std::uint32_t place) {
    if (const auto done = maps_->limit_ids.erase(key); !done)
        return done.error();
    limit_places_.give_back(place);
    return {};
}

Result<void> PolicyWriter::erase_limits(std::uint16_t id, const policy::Image &image) {
    for (const auto &[rule, limits] : image.limits) {
        const abi::ps_limits_key key = limits_key(id, rule);
        const auto place = maps_->limit_ids.lookup(key);
        if (!place)
            return place.error();
        if (!*place) // of a policy that was not written whole
            continue;
        if (auto done = erase_limit(key, **place); !done)
            return done;
    }
    return {};
}

Result<void> PolicyWriter::erase_limits_by_scan(const std::unordered_set<std::uint16_t> &ids) {
    std::vector<std::pair<abi::ps_limits_key, std::uint32_t>> found;
    auto walked = maps_->limit_ids.for_each([&](const abi::ps_limits_key &key, std::uint32_t place) {
        if (ids.contains(key.policy))
            found.emplace_back(key, place);
    });
    if (!walked)
        return walked;
    for (const auto &[key, place] : found)
        if (auto done = erase_limit(key, place); !done)
            return done;
    return {};
}

} // namespace penstock::sync
