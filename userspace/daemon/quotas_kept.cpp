// SPDX-License-Identifier: Apache-2.0
// Quotas as they are stored: by path and names, twice a second, in a file of the state directory.
#include "userspace/daemon/quotas.h"

#include "userspace/base/clock.h"
#include "userspace/daemon/files.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t copied_at_once = 2048;
// A power cut loses less than a second, with the time to write.
constexpr std::chrono::milliseconds between_saves{500};
constexpr int scans = 3; // of which one is of the tenants that there are, unless they change all the time

// What the budget has of the quota's present window; none: nothing that has to be kept.
std::optional<KeptQuota> kept_of(const abi::ps_budget &budget, std::uint64_t now) {
    const auto window = kernel::BudgetTable::window(budget, now);
    if (!window)
        return std::nullopt;
    KeptQuota kept;
    kept.octets = window->octets(budget.spent);
    kept.granted = window->octets(budget.granted);
    kept.told = std::min<std::uint64_t>(window->octets(budget.told), 100);
    kept.window_ns = window->length_ns;
    kept.turns_ns = window->turns_ns;
    return kept.octets + kept.granted > 0 ? std::optional(kept) : std::nullopt;
}

} // namespace

Quotas::Quotas(asio::io_context &io, asio::thread_pool &pool, asio::thread_pool &readers, kernel::Gate &gate,
               const Enforcer &enforcer, const Meter &meter, const std::string &state_dir, const Log &log)
    : pool_(pool), readers_(readers), enforcer_(enforcer), meter_(meter), log_(log),
      path_(state_dir + "/quotas"), budgets_(gate), turn_(io.get_executor()) {}

std::string Quotas::load() {
    const auto text = read_file(path_, QuotaStore::largest);
    if (!text && text.error().code == ENOENT)
        return {};
    auto store = text ? QuotaStore::parse(*text, moment_now()) : text.error();
    if (store) {
        store_ = std::move(*store);
        return {};
    }
    auto sentence = set_aside(path_, store.error());
    log_.error("what was spent of quotas before this boot is not known", {{"error", sentence}});
    return sentence;
}

void Quotas::follow(Enforcer &enforcer) {
    enforcer.is_kept = [this](const std::string &path) {
        const auto first = store_.first_of(path);
        return first != store_.all().end() && first->first.container == path;
    };
    enforcer.before_binding = [this](const std::string &path, const sync::Row &row,
                                     const policy::Image &image) { resume(path, row, image); };
    enforcer.on_removed = [this](const Container &container) { note_now(container); };
    enforcer.before_freed = [this](const std::vector<sync::Row> &rows) { released(rows); };
}

asio::awaitable<void> Quotas::keep_saving() {
    for (;;) {
        co_await sleep_for(between_saves);
        co_await save();
    }
}

Quotas::Seen Quotas::seen_of(const abi::ps_budget &budget) {
    return {
        budget.rule, budget.spent, budget.granted, budget.told, budget.window[PS_SPENT_CHOICE(budget.spent)],
        budget.slot};
}

// Those that are not as they were noted. On the pool.
std::vector<sync::Budget> Quotas::changed() const {
    auto budgets = budgets_.begun();
    std::erase_if(budgets, [this](const auto &budget) {
        const auto before = seen_.find(budget.index);
        return before != seen_.end() && before->second == seen_of(budget.value);
    });
    return budgets;
}

bool Quotas::set(const QuotaKey &key, const KeptQuota &kept) {
    const auto before = store_.all().find(key);
    if (before != store_.all().end() && before->second == kept)
        return false;
    store_.all().insert_or_assign(key, kept);
    return true;
}

// False: whose it is, is not known yet.
bool Quotas::note(const sync::Budget &budget) {
    const auto *container = enforcer_.at_slot(budget.value.slot);
    if (!container || container->node.path.empty())
        return false;
    QuotaKey key{container->node.path, "", ""};
    if (budget.value.rule != 0) {
        const auto *name = meter_.rule(budget.value.rule);
        if (!name)
            return false;
        key.policy = name->policy;
        key.rule = name->rule;
    }
    const auto before = store_.all().find(key);
    if (container->removed && before != store_.all().end() && before->second.slot != container->row.slot) {
        const auto *owner = enforcer_.at_slot(before->second.slot);
        if (owner && !owner->removed && owner->row.serial == before->second.serial)
            return true; // the path has another container now, which went on from here
    }
    if (!container->removed && before != store_.all().end() &&
        (before->second.slot != container->row.slot || before->second.serial != container->row.serial))
        return false; // what is stored is not in the budget yet
    auto kept = kept_of(budget.value, boot_ns());
    budgets_.mark_kept(budget.index);
    if (!kept) {
        changed_ |= store_.all().erase(key) > 0;
        return true;
    }
    kept->slot = container->row.slot;
    kept->serial = container->row.serial;
    changed_ |= set(key, *kept);
    return true;
}

void Quotas::note_now(const Container &container) {
    if (!container.image)
        return;
    for (const auto &[rule, limits] : container.image->limits)
        if (limits.quota_bytes != 0)
            if (const auto budget = budgets_.find(container.row.slot, rule); budget && *budget)
                (void)note(**budget);
}

void Quotas::released(const std::vector<sync::Row> &rows) {
    ++epoch_;
    freeing_ = true;
    for (const auto &row : rows) {
        const auto *container = enforcer_.at_slot(row.slot);
        if (!container || container->row.serial != row.serial)
            continue;
        note_now(*container);
        const auto &path = container->node.path;
        for (auto entry = store_.first_of(path);
             entry != store_.all().end() && entry->first.container == path; ++entry)
            if (entry->second.slot == row.slot && entry->second.serial == row.serial)
                entry->second.slot = entry->second.serial = 0;
    }
}

void Quotas::resume(const std::string &path, const sync::Row &row, const policy::Image &image) {
    for (auto entry = store_.first_of(path); entry != store_.all().end() && entry->first.container == path;
         ++entry)
        if (entry->second.slot != row.slot || entry->second.serial != row.serial)
            go_on(entry->first, entry->second, row, image);
}

void Quotas::go_on(const QuotaKey &key, KeptQuota &kept, const sync::Row &row, const policy::Image &image) {
    const auto rule = key.rule.empty() ? 0 : policy::rule_id(key.policy, key.rule);
    if (const auto limits = image.limits.find(rule);
        limits == image.limits.end() || limits->second.quota_bytes == 0)
        return;
    const auto now = boot_ns();
    // Its predecessor's sockets may have gone on since it was noted.
    if (const auto *before = kept.slot != 0 ? enforcer_.at_slot(kept.slot) : nullptr;
        before && before->row.serial == kept.serial)
        if (const auto budget = budgets_.find(kept.slot, rule); budget && *budget)
            if (const auto newer = kept_of((*budget)->value, now))
                kept = *newer;
    kept.slot = row.slot;
    kept.serial = row.serial;
    changed_ = true;
    if (kept.turns_ns <= now)
        return;
    const auto resumed = budgets_.resume(
        row.slot, rule, {kept.octets, kept.granted, kept.told, kept.window_ns, kept.start_ns()}, now);
    if (!resumed)
        log_.error("what a container had spent of a quota could not be restored",
                   {{"cgroup", key.container}, {"rule", key.rule}, {"error", resumed.error().message}});
    else if (*resumed == sync::Budgets::Resumed::late)
        log_.warning(
            "a container was sending before what it had spent of a quota was known: both are counted now",
            {{"cgroup", key.container}, {"rule", key.rule}});
}

// Some at a time, as with very many the loop would stand still. They are of several moments, which is all the same: each is
// whole.
asio::awaitable<QuotaStore::Entries> Quotas::entries_by_turns() {
    QuotaStore::Entries entries;
    entries.reserve(store_.all().size());
    for (auto next = store_.all().begin(); next != store_.all().end();) {
        for (std::size_t count = 0; count < copied_at_once && next != store_.all().end(); ++count, ++next)
            entries.push_back(*next);
        if (next == store_.all().end())
            break;
        const auto key = next->first;
        co_await breathe();
        next = store_.all().lower_bound(key);
    }
    co_return entries;
}

asio::awaitable<void> Quotas::save() {
    const auto turn = co_await turn_.take();
    auto scan = [this] { return changed(); };
    for (int i = 0; i < scans; ++i) {
        const auto epoch = freeing_ ? epoch_ - 1 : epoch_;
        const auto budgets = co_await on_pool(pool_, scan);
        if (epoch != epoch_)
            continue; // a slot may have another tenant than the budget read
        for (const auto &budget : budgets)
            if (note(budget))
                seen_.insert_or_assign(budget.index, seen_of(budget.value));
        break;
    }
    if (!changed_)
        co_return;
    const auto now = moment_now();
    if (const auto forgotten = store_.trim(now.boot_ns))
        log_.warning("what containers that are gone had spent of quotas was forgotten for want of room",
                     {{"quotas", std::to_string(forgotten)}});
    changed_ = false; // what changes while it is copied is written again
    const auto entries = co_await entries_by_turns();
    std::size_t left_out = 0;
    auto work = [&] {
        const auto text = QuotaStore::text(entries, now);
        left_out = text.left_out;
        return replace_file(path_, text.octets);
    };
    const auto saved = co_await on_pool(pool_, work);
    if (!saved && failure_.empty())
        log_.error("what is spent of quotas could not be stored", {{"error", saved.error().message}});
    failure_ = saved ? "" : saved.error().message;
    changed_ |= !saved;
    if (left_out > left_out_)
        log_.error("quotas have no room in their file: a reboot forgets what is spent of them",
                   {{"quotas", std::to_string(left_out)}});
    left_out_ = left_out;
}

std::vector<std::string> Quotas::troubles() const {
    std::vector<std::string> sentences;
    if (!failure_.empty())
        sentences.push_back("what is spent of quotas can't be stored, and a reboot forgets it: " + failure_);
    if (left_out_ > 0)
        sentences.push_back(path_ + " has no room for " + std::to_string(left_out_) +
                            " quotas: a reboot forgets what is spent of them");
    return sentences;
}

} // namespace penstock::daemon
