// SPDX-License-Identifier: Apache-2.0
// What is spent, for who asks; reset and added to. quotas_kept.cpp has what is stored.
#include "userspace/daemon/quotas.h"

#include "userspace/base/clock.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

const abi::ps_limits *quota_of(const policy::Image *image, std::uint64_t rule) {
    if (!image)
        return nullptr;
    const auto limits = image->limits.find(rule);
    return limits == image->limits.end() || limits->second.quota_bytes == 0 ? nullptr : &limits->second;
}

} // namespace

QuotaState Quotas::state(const Owner &owner, std::uint64_t rule, const abi::ps_limits &limits,
                         const abi::ps_budget *budget) {
    QuotaState state = quota_state(limits, budget, boot_ns(), wall_ns());
    state.container = owner.path;
    state.cgroup_id = owner.cgroup_id;
    state.mode = owner.image->settings.mode;
    if (const auto info = owner.image->rules.find(rule); info != owner.image->rules.end()) {
        state.policy = info->second.policy;
        state.rule = info->second.rule;
    }
    return state;
}

Quotas::Owners Quotas::owners(std::optional<std::uint64_t> cgroup) const {
    Owners owners;
    for (const auto &[id, container] : enforcer_.containers())
        if (!container.removed && container.image && (!cgroup || *cgroup == id))
            owners[container.row.slot] = {container.node.path, id, container.image};
    return owners;
}

// On the pool.
std::vector<QuotaState> Quotas::read(const Owners &owners, bool whole_ones) const {
    std::vector<QuotaState> all;
    std::set<std::pair<std::uint32_t, std::uint64_t>> begun; // slot and rule
    for (const auto &budget : budgets_.begun()) {
        const auto &value = budget.value;
        const auto owner = owners.find(value.slot);
        if (owner == owners.end())
            continue;
        if (const auto *limits = quota_of(owner->second.image.get(), value.rule)) {
            all.push_back(state(owner->second, value.rule, *limits, &value));
            if (whole_ones)
                begun.emplace(value.slot, value.rule);
        }
    }
    if (whole_ones)
        for (const auto &[slot, owner] : owners)
            for (const auto &[rule, limits] : owner.image->limits)
                if (limits.quota_bytes != 0 && !begun.contains({slot, rule}))
                    all.push_back(state(owner, rule, limits, nullptr));
    std::sort(all.begin(), all.end(), [](const auto &a, const auto &b) {
        return std::tie(a.container, a.policy, a.rule, a.cgroup_id) <
               std::tie(b.container, b.policy, b.rule, b.cgroup_id);
    });
    return all;
}

asio::awaitable<std::vector<QuotaState>> Quotas::list(std::optional<std::uint64_t> cgroup) {
    constexpr int patience = 3;
    for (int attempt = 1;; ++attempt) {
        const auto epoch = epoch_;
        const Owners now = owners(cgroup);
        auto work = [&] { return read(now, cgroup.has_value()); };
        auto all = co_await on_pool(readers_, work);
        if (epoch == epoch_ || attempt == patience) // else a slot may have gone to another meanwhile
            co_return all;
    }
}

Result<std::optional<QuotaState>> Quotas::find(const Container &container, std::uint64_t rule) const {
    const auto *limits = quota_of(container.image.get(), rule);
    if (!limits)
        return std::optional<QuotaState>();
    const auto budget = budgets_.find(container.row.slot, rule);
    if (!budget)
        return budget.error();
    const Owner owner{container.node.path, container.node.id, container.image};
    return std::optional(state(owner, rule, *limits, *budget ? &(*budget)->value : nullptr));
}

Result<Quotas::Outcome> Quotas::reset(const Container &container, std::uint64_t rule) {
    if (!quota_of(container.image.get(), rule))
        return Outcome::no_quota;
    const auto budget = budgets_.find(container.row.slot, rule);
    if (!budget)
        return budget.error();
    if (*budget)
        budgets_.reset((*budget)->index);
    return Outcome::done;
}

Result<Quotas::Outcome> Quotas::add(const Container &container, std::uint64_t rule, std::uint64_t octets) {
    const auto *limits = quota_of(container.image.get(), rule);
    if (!limits)
        return Outcome::no_quota;
    const auto budget = budgets_.find(container.row.slot, rule);
    if (!budget)
        return budget.error();
    const auto window = *budget ? kernel::BudgetTable::window((*budget)->value, boot_ns()) : std::nullopt;
    if (!window)
        return Outcome::not_begun;
    if (window->length_ns != limits->window_ns)
        return Outcome::other_window; // the next packet begins it, with what is spent and nothing granted
    return budgets_.grant((*budget)->index, octets, boot_ns()) ? Outcome::done : Outcome::not_begun;
}

} // namespace penstock::daemon
