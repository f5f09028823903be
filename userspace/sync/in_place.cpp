// SPDX-License-Identifier: Apache-2.0
// PolicyWriter's part that changes a policy under its id: a handful of writes for a handful of changes, whatever the
// size of the policy. diff.h says when that is allowed and in which order.
#include "userspace/base/clock.h"
#include "userspace/sync/diff.h"
#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"

#include <algorithm>
#include <iterator>

namespace penstock::sync {
namespace {

constexpr std::size_t most_changes = 4096; // beyond this a new id costs little more

} // namespace

Result<PolicyHandle> PolicyWriter::change(PolicyHandle from, ImagePtr to) {
    const auto known = known_.find(from.id);
    const bool is_current = known != known_.end() && known->second.handle == from && known->second.image;
    if (!is_current || find(to->settings.content_hash))
        return put(to);
    const Difference difference = diff(*known->second.image, *to, most_changes);
    if (difference.way == Way::mixed)
        return put(to);
    if (const auto done = erase_after_grace(); !done)
        return done.error();
    return write_in_place(known->second, std::move(to), difference);
}

Result<PolicyHandle> PolicyWriter::write_in_place(Known &known, ImagePtr to, const Difference &difference) {
    const PolicyHandle old = known.handle;
    const ImagePtr from = known.image;
    abi::ps_policy unfinished = from->settings; // still whole for the kernel; no restart shall adopt it
    unfinished.content_hash = 0;
    const auto generation = next_generation();
    if (!generation)
        return generation.error();
    if (const auto done = write_element(old, unfinished); !done)
        return done.error();
    known.content_hash = 0;
    if (const auto done = write_difference(old.id, *from, *to, difference); !done) {
        known.content_hash = from->settings.content_hash;
        if (const auto back = write_element(old, from->settings); !back)
            return back.error();
        return done.error();
    }
    known.handle.generation = *generation;
    known.content_hash = to->settings.content_hash;
    if (const auto done = write_element(known.handle, to->settings); !done)
        return done.error();
    for (std::uint32_t slot = abi::PS_SLOT_FIRST; slot < kernel::SlotTable::size(); slot++)
        if (maps_->slots.read(slot).binding == old.binding())
            bind(slot, known.handle);
    const PolicyHandle handle = known.handle;
    unuse(known);
    use(known, std::move(to));
    left_.push_back({from, monotonic_ns()});
    return handle;
}

// Rule sets before what names them; additions most specific first; removals last, least specific first. Only additions can
// fail for want of room: then they are undone.
Result<void> PolicyWriter::write_difference(std::uint16_t id, const policy::Image &from,
                                            const policy::Image &to, const Difference &difference) {
    auto done = write_rule_sets(to);
    if (done)
        done = write_additions(id, difference);
    if (!done) {
        undo_additions(id, from, difference);
        const auto erased = erase_unused_rule_sets(to);
        return erased ? done : erased;
    }
    return write_removals(id, difference);
}

Result<void> PolicyWriter::write_additions(std::uint16_t id, const Difference &difference) {
    written_ += difference.set_names.size() + difference.set_cidrs.size() + difference.add_resolvers.size();
    for (const policy::Address &resolver : difference.add_resolvers)
        if (auto done = maps_->resolvers.update(resolver_key(id, resolver), 1); !done)
            return done;
    for (const policy::NameEntry *entry : difference.set_names)
        if (auto done = maps_->names.update(name_key(id, entry->reversed), entry->match); !done)
            return done;
    for (const policy::CidrEntry *entry : difference.set_cidrs) {
        auto done = is_v4(entry->cidr) ? maps_->cidrs4.update(cidr4_key(id, entry->cidr), entry->match)
                                       : maps_->cidrs6.update(cidr6_key(id, entry->cidr), entry->match);
        if (!done)
            return done;
    }
    return {};
}

// Back to `from`, least specific first. What fails here is left: each look-up still gives the old or the new answer.
void PolicyWriter::undo_additions(std::uint16_t id, const policy::Image &from, const Difference &difference) {
    const auto undo_cidr = [&](const policy::CidrEntry *entry) {
        const auto old = std::ranges::find(from.cidrs, entry->cidr, &policy::CidrEntry::cidr);
        const bool had = old != from.cidrs.end();
        if (is_v4(entry->cidr) && had)
            static_cast<void>(maps_->cidrs4.update(cidr4_key(id, entry->cidr), old->match));
        else if (is_v4(entry->cidr))
            static_cast<void>(maps_->cidrs4.erase(cidr4_key(id, entry->cidr)));
        else if (had)
            static_cast<void>(maps_->cidrs6.update(cidr6_key(id, entry->cidr), old->match));
        else
            static_cast<void>(maps_->cidrs6.erase(cidr6_key(id, entry->cidr)));
    };
    const auto undo_name = [&](const policy::NameEntry *entry) {
        const auto old = std::ranges::find(from.names, entry->reversed, &policy::NameEntry::reversed);
        if (old != from.names.end())
            static_cast<void>(maps_->names.update(name_key(id, entry->reversed), old->match));
        else
            static_cast<void>(maps_->names.erase(name_key(id, entry->reversed)));
    };
    std::for_each(difference.set_cidrs.rbegin(), difference.set_cidrs.rend(), undo_cidr);
    std::for_each(difference.set_names.rbegin(), difference.set_names.rend(), undo_name);
    for (const policy::Address &resolver : difference.add_resolvers)
        static_cast<void>(maps_->resolvers.erase(resolver_key(id, resolver)));
}

Result<void> PolicyWriter::write_removals(std::uint16_t id, const Difference &difference) {
    written_ +=
        difference.drop_names.size() + difference.drop_cidrs.size() + difference.drop_resolvers.size();
    for (const policy::NameEntry *entry : difference.drop_names)
        if (const auto done = maps_->names.erase(name_key(id, entry->reversed)); !done)
            return done.error();
    for (const policy::CidrEntry *entry : difference.drop_cidrs) {
        const auto done = is_v4(entry->cidr) ? maps_->cidrs4.erase(cidr4_key(id, entry->cidr))
                                             : maps_->cidrs6.erase(cidr6_key(id, entry->cidr));
        if (!done)
            return done.error();
    }
    for (const policy::Address &resolver : difference.drop_resolvers)
        if (const auto done = maps_->resolvers.erase(resolver_key(id, resolver)); !done)
            return done.error();
    return {};
}

} // namespace penstock::sync
