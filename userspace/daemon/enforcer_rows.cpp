// SPDX-License-Identifier: Apache-2.0
// Containers of the enforcer: from a cgroup that appears to a slot that is free again.
#include "userspace/daemon/enforcer.h"

#include "userspace/base/clock.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <set>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr auto budgets_every = std::chrono::seconds(10); // some ms: each round reads all that were given out
constexpr auto dying_limit = std::chrono::seconds(120);
constexpr auto kernel_says_so =
    std::chrono::seconds(5); // after which we tell of a removal that it did not see

} // namespace

// Rows that were there before us: with their cgroups again, or known as dying.
Result<void> Enforcer::adopt_rows() {
    if (auto lost = rows_.release_lost(); !lost)
        return lost.error();
    const auto rows = rows_.all();
    if (!rows)
        return rows.error();
    std::unordered_map<std::uint64_t, const container::CgroupNode *> by_id;
    for (const auto &[path, node] : tree_.nodes())
        by_id[node.id] = &node;
    for (const auto &row : *rows) {
        if (row.slot < abi::PS_SLOT_FIRST)
            continue;
        Container container;
        container.row = row;
        if (const auto node = by_id.find(row.cgroup_id); node != by_id.end())
            container.node = *node->second;
        else
            container.removed = std::chrono::steady_clock::now();
        container.node.id = row.cgroup_id;
        slots_[row.slot] = row.cgroup_id;
        containers_[row.cgroup_id] = std::move(container);
    }
    return {};
}

void Enforcer::tree_changed() {
    apply(tree_.read_changes());
}

void Enforcer::look_at(std::string_view path) {
    apply(tree_.look_at(path));
}

void Enforcer::rescan() {
    apply(tree_.rescan());
}

void Enforcer::apply(const std::vector<container::TreeChange> &changes) {
    for (const auto &change : changes) {
        if (change.added)
            settle(change.node);
        else
            removed(change.node);
    }
}

void Enforcer::settle(const container::CgroupNode &node) {
    const auto standing = selection_->standing(node.path);
    if (standing.is_row())
        place(node, standing);
    else
        unplace(node);
}

// The row exists and is bound to what it should be, or to nothing (which denies) until its policies are compiled.
void Enforcer::place(const container::CgroupNode &node, const container::Standing &standing) {
    Container wanted;
    wanted.node = node;
    wanted.birth = standing.birth;
    if (standing.kind == container::Standing::Kind::selected) {
        for (const auto index : standing.policies)
            wanted.policies.push_back(policies_->policies[index].name);
        if (const auto image = images_.find(standing.policies); image != images_.end()) {
            wanted.handle = image->second.handle;
            wanted.image = image->second.image;
            wanted.bound = true;
        } else if (!std::exchange(completing_, true)) {
            asio::co_spawn(io_, complete(), asio::detached);
        }
    } else {
        wanted.handle = birth_.at(standing.birth);
        wanted.bound = true;
    }
    const std::uint32_t flags =
        standing.kind == container::Standing::Kind::strict_root ? +abi::PS_ROW_STRICT_ROOT : 0;
    // Before the first packet: a row that is bound to nothing denies.
    const bool waits = is_kept && wanted.image && wanted.image->settings.limited != 0 && is_kept(node.path);
    const auto row = rows_.make(node.id, node.level, flags, waits ? 0 : wanted.handle.binding());
    if (!row || row->slot < abi::PS_SLOT_FIRST) {
        auto &text = faults_[node.id];
        const bool known = !text.empty();
        text = "container " + node.path +
               " has no row of its own: " + (row ? "its cgroup was dying too long" : row.error().message);
        if (!known)
            log_.error("a container could not be placed", {{"cgroup", node.path}, {"error", text}});
        return;
    }
    faults_.erase(node.id);
    wanted.row = *row;
    const bool keep = keep_rows_ && row->binding != 0; // nothing better is known than what is in force
    const bool unknown = !wanted.bound && row->binding != 0;
    if (waits && !keep)
        before_binding(node.path, *row, *wanted.image);
    if (row->binding != wanted.handle.binding() && !keep && !unknown) {
        gate_.maps().slots.bind(row->slot, wanted.handle.binding());
        wanted.row.binding = wanted.handle.binding();
    }
    const auto before = containers_.find(node.id);
    const bool is_as_before = before != containers_.end() && before->second.row.serial == row->serial &&
                              before->second.bound_ns != 0 &&
                              before->second.row.binding == wanted.row.binding;
    wanted.bound_ns = is_as_before ? before->second.bound_ns : monotonic_ns();
    slots_[row->slot] = node.id;
    containers_[node.id] = std::move(wanted);
}

// Those that were denied because no slot was free.
void Enforcer::place_again() {
    std::vector<container::CgroupNode> waiting;
    for (const auto &[path, node] : tree_.nodes())
        if (faults_.contains(node.id))
            waiting.push_back(node);
    for (const auto &node : waiting)
        settle(node);
}

void Enforcer::unplace(const container::CgroupNode &node) {
    if (!keep_rows_ && faults_.erase(node.id) > 0)
        (void)rows_.remove(node.id);
    const auto known = containers_.find(node.id);
    if (known == containers_.end() || known->second.removed || keep_rows_)
        return;
    if (const auto taken = rows_.remove(node.id); !taken) {
        log_.error("a container could not be let go",
                   {{"cgroup", node.path}, {"error", taken.error().message}});
        return;
    }
    known->second.removed = std::chrono::steady_clock::now(); // named until its counters are folded
    if (on_removed)
        on_removed(known->second);
}

void Enforcer::removed(const container::CgroupNode &node) {
    faults_.erase(node.id);
    if (const auto known = containers_.find(node.id); known != containers_.end() && !known->second.removed) {
        known->second.removed = std::chrono::steady_clock::now();
        if (on_removed)
            on_removed(known->second);
    }
}

const Container *Enforcer::at_slot(std::uint32_t slot) const {
    const auto id = slots_.find(slot);
    const auto container = id == slots_.end() ? containers_.end() : containers_.find(id->second);
    return container == containers_.end() ? nullptr : &container->second;
}

void Enforcer::dying_too_long(std::chrono::steady_clock::time_point now) {
    for (auto &[id, container] : containers_) {
        if (!container.removed || now - *container.removed < kernel_says_so)
            continue;
        const auto slot = rows_.at(container.row.slot);
        if (slot.serial != container.row.serial || (slot.slot_flags & abi::PS_SLOT_RELEASED))
            continue;
        if (now - *container.removed > dying_limit) {
            if (const auto gone = rows_.point_to_gone(container.row); !gone)
                log_.warning("a dead container's row could not be closed", {{"error", gone.error().message}});
        } else if (!(slot.slot_flags & abi::PS_SLOT_DYING)) {
            gate_.maps().slots.set_flags(container.row.slot, abi::PS_SLOT_DYING);
        }
    }
}

std::vector<sync::Row> Enforcer::released_for_good(std::chrono::steady_clock::time_point now) {
    std::vector<sync::Row> ready;
    std::map<std::uint32_t, Released> seen;
    for (const auto &row : rows_.slots_with(abi::PS_SLOT_RELEASED)) {
        const auto before = released_.find(row.slot);
        const bool known = before != released_.end() && before->second.serial == row.serial;
        const auto since = known ? before->second.seen : now;
        seen[row.slot] = {row.serial, since};
        if (now - since >= sync::grace)
            ready.push_back(row);
    }
    released_ = std::move(seen);
    return ready;
}

// Of containers whose policy is known to be the one that is bound.
std::vector<sync::IdleBudgets::Holder> Enforcer::budget_holders() const {
    std::vector<sync::IdleBudgets::Holder> holders;
    for (const auto &[id, container] : containers_)
        if (container.bound && !container.removed && container.row.binding == container.handle.binding())
            holders.push_back({container.row.slot, container.row.serial, container.row.binding,
                               container.bound_ns, container.image});
    return holders;
}

asio::awaitable<void> Enforcer::sweep_budgets() {
    for (;;) {
        co_await sleep_for(budgets_every);
        const auto turn = co_await turn_.take(); // no policy changes meanwhile
        const auto holders = budget_holders();
        auto work = [&] { return idle_budgets_.round(holders, monotonic_ns(), boot_ns()); };
        if (const auto done = co_await on_pool(pool_, work); !done)
            log_.warning("budgets of rules that are gone could not be given back",
                         {{"error", done.error().message}});
    }
}

asio::awaitable<void> Enforcer::sweep() {
    const auto turn = co_await sweep_turn_.take();
    const auto now = std::chrono::steady_clock::now();
    dying_too_long(now);
    auto ready = released_for_good(now);
    if (ready.empty() || (on_released && !co_await on_released(ready)))
        co_return;
    if (before_freed)
        before_freed(ready);
    auto work = [this, &ready] {
        std::vector<sync::Row> done;
        for (const auto &row : ready)
            if (rows_.free_slot(row.slot))
                done.push_back(row);
        return done;
    };
    const auto freed = co_await on_pool(pool_, work);
    for (const auto &row : freed) {
        released_.erase(row.slot);
        const auto id = slots_.find(row.slot);
        if (id == slots_.end())
            continue;
        const auto container = containers_.find(id->second);
        if (container != containers_.end() && container->second.row.serial == row.serial) {
            containers_.erase(container);
            slots_.erase(id);
        }
    }
    if (on_freed)
        on_freed(freed);
    if (!faults_.empty())
        place_again();
}

} // namespace penstock::daemon
