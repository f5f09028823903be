// SPDX-License-Identifier: Apache-2.0
// What is spent, for who asks; reset and added to. quotas_kept.cpp has what is stored.
#include "userspace/daemon/quotas.h"

#include "userspace/base/clock.h"

#include <algorithm>
#include <map>
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

QuotaState Quotas::state(const Container &container, std::uint64_t rule, const abi::ps_limits &limits,
                         const abi::ps_budget *budget) const {
    QuotaState state = quota_state(limits, budget, boot_ns(), wall_ns());
    state.container = container.node.path;
    state.cgroup_id = container.node.id;
    if (const auto info = container.image->rules.find(rule); info != container.image->rules.end()) {
        state.policy = info->second.policy;
        state.rule = info->second.rule;
    }
    return state;
}

asio::awaitable<std::vector<QuotaState>> Quotas::list(std::optional<std::uint64_t> cgroup) {
    using Found = std::map<std::pair<std::uint32_t, std::uint64_t>, abi::ps_budget>; // by slot and rule
    auto read = [this] {
        Found found;
        for (const auto &budget : budgets_.begun())
            found[{budget.value.slot, budget.value.rule}] = budget.value;
        return found;
    };
    const auto found = co_await on_pool(readers_, read);
    std::vector<QuotaState> all;
    for (const auto &[id, container] : enforcer_.containers()) {
        if (container.removed || !container.image || (cgroup && *cgroup != id))
            continue;
        for (const auto &[rule, limits] : container.image->limits) {
            if (limits.quota_bytes == 0)
                continue;
            const auto budget = found.find({container.row.slot, rule});
            all.push_back(state(container, rule, limits, budget == found.end() ? nullptr : &budget->second));
        }
    }
    std::sort(all.begin(), all.end(), [](const auto &a, const auto &b) {
        return std::tie(a.container, a.policy, a.rule, a.cgroup_id) <
               std::tie(b.container, b.policy, b.rule, b.cgroup_id);
    });
    co_return all;
}

Result<std::optional<QuotaState>> Quotas::find(const Container &container, std::uint64_t rule) const {
    const auto *limits = quota_of(container.image.get(), rule);
    if (!limits)
        return std::optional<QuotaState>();
    const auto budget = budgets_.find(container.row.slot, rule);
    if (!budget)
        return budget.error();
    return std::optional(state(container, rule, *limits, *budget ? &(*budget)->value : nullptr));
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
    // With another length of window the next packet begins a new one, in which nothing is granted.
    const auto window = *budget ? kernel::BudgetTable::window((*budget)->value, boot_ns()) : std::nullopt;
    if (!window || window->length_ns != limits->window_ns)
        return Outcome::not_begun;
    return budgets_.grant((*budget)->index, octets, boot_ns()) ? Outcome::done : Outcome::not_begun;
}

} // namespace penstock::daemon
