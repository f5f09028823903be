// SPDX-License-Identifier: Apache-2.0
// Policies into force; enforcer_rows.cpp has the containers.
#include "userspace/daemon/enforcer.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <malloc.h>
#include <set>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t slice = 256; // cgroups looked at before other work of the loop has its turn

} // namespace

Enforcer::Enforcer(asio::io_context &io, asio::thread_pool &pool, kernel::Gate &gate,
                   sync::PolicyWriter writer, container::CgroupTree tree, EnforcerOptions options,
                   const Log &log)
    : io_(io), pool_(pool), gate_(gate), log_(log), options_(std::move(options)), rows_(gate),
      writer_(std::move(writer)), idle_budgets_(gate), tree_(std::move(tree)), turn_(io.get_executor()),
      sweep_turn_(io.get_executor()),
      selection_(std::make_shared<container::Selection>(std::vector<policy::Policy>{}, options_.gate_root,
                                                        options_.birth)) {}

Result<std::unique_ptr<Enforcer>> Enforcer::open(asio::io_context &io, asio::thread_pool &pool,
                                                 kernel::Gate &gate, EnforcerOptions options,
                                                 const Log &log) {
    auto writer = sync::PolicyWriter::open(gate);
    if (!writer)
        return writer.error();
    auto tree = container::CgroupTree::make(options.mount, options.gate_root);
    if (!tree)
        return tree.error();
    std::unique_ptr<Enforcer> enforcer(
        new Enforcer(io, pool, gate, std::move(*writer), std::move(*tree), std::move(options), log));
    for (const std::uint16_t policy :
         {abi::PS_POLICY_BIRTH_DENY, abi::PS_POLICY_BIRTH_ALLOW, abi::PS_POLICY_BIRTH_AUDIT}) {
        const auto handle = enforcer->writer_.birth(policy);
        if (!handle)
            return handle.error();
        enforcer->birth_[policy] = *handle;
    }
    if (auto written = enforcer->write_birth_patterns(); !written)
        return written.error();
    if (auto adopted = enforcer->adopt_rows(); !adopted)
        return adopted.error();
    return enforcer;
}

asio::awaitable<Result<void>> Enforcer::enforce(PolicySetPtr set, policy::Environment environment) {
    const auto turn = co_await turn_.take();
    auto selection =
        std::make_shared<container::Selection>(set->policies, options_.gate_root, options_.birth);
    Images fresh;
    const OldImages before = images_by_names();
    auto trust = [&] { return writer_.set_birth_resolvers(environment.resolvers); };
    if (auto trusted = co_await on_pool(pool_, trust); !trusted)
        co_return trusted.error().in("resolvers of the birth verdicts");
    // Containers that come while the pool works may bring new combinations: again until none is missing.
    for (;;) {
        auto keys = co_await missing(*selection, set->policies.size(), fresh);
        if (keys.empty())
            break;
        auto added = co_await add_images(set, environment, std::move(keys), before, fresh);
        if (!added) {
            asio::co_spawn(io_, retire_unused(std::move(fresh)), asio::detached);
            co_return added;
        }
    }
    Images old = std::exchange(images_, std::move(fresh));
    policies_ = std::move(set);
    environment_ = std::move(environment);
    selection_ = std::move(selection);
    keep_rows_ = false;
    // Before the rows: a container made from here on has the new policies, one made before is settled with all others.
    if (auto written = write_selected_at_birth(); !written)
        log_.warning("new containers have their birth verdict until their policy is bound",
                     {{"error", written.error().message}});
    co_await settle_all();
    if (!std::exchange(collected_, true)) {
        const auto collected = co_await on_pool(pool_, [this] { return writer_.collect_garbage(); });
        if (!collected)
            log_.warning("stale policies could not be cleared", {{"error", collected.error().message}});
    }
    asio::co_spawn(io_, retire_unused(std::move(old)), asio::detached);
    co_return Result<void>();
}

// Combinations of policies that containers have, or will have from their birth on; and a policy of which neither is
// known alone, so that its first container finds it in the kernel.
asio::awaitable<std::vector<Enforcer::SetKey>>
Enforcer::missing(const container::Selection &selection, std::size_t policies, const Images &have) const {
    std::set<SetKey> keys;
    std::set<std::size_t> in_use;
    std::vector<std::string> paths;
    for (const auto &[path, node] : tree_.nodes())
        paths.push_back(path);
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if (auto standing = selection.standing(paths[i]); !standing.policies.empty()) {
            in_use.insert(standing.policies.begin(), standing.policies.end());
            keys.insert(std::move(standing.policies));
        }
        if (i % slice == slice - 1)
            co_await breathe();
    }
    for (auto &selected : policies > 0 ? selection.at_birth() : std::vector<container::SelectedAtBirth>{}) {
        in_use.insert(selected.policies.begin(), selected.policies.end());
        if (!selected.policies.empty())
            keys.insert(std::move(selected.policies));
    }
    for (std::size_t i = 0; i < policies; ++i)
        if (!in_use.contains(i))
            keys.insert(SetKey(1, i));
    std::vector<SetKey> result;
    for (const auto &key : keys)
        if (!have.contains(key))
            result.push_back(key);
    co_return result;
}

Enforcer::OldImages Enforcer::images_by_names() const {
    OldImages images;
    for (const auto &[key, in_force] : images_)
        images[in_force.image->policies] = in_force;
    return images;
}

asio::awaitable<Result<void>> Enforcer::add_images(PolicySetPtr set, policy::Environment environment,
                                                   std::vector<SetKey> keys, OldImages old, Images &images) {
    auto work = [&] { return compile_and_put(*set, environment, keys, old); };
    auto outcome = co_await on_pool(pool_, work);
    for (auto &[key, in_force] : outcome.images) {
        generation_ = std::max(generation_, in_force.handle.generation);
        if (on_image)
            on_image(*in_force.image);
        images[key] = std::move(in_force);
    }
    co_return outcome.result;
}

// On the pool. One changed image may be changed in place, which is cheap for a large one; with more of them
// each gets a new id, so that a failure in the middle leaves every old one whole.
Enforcer::PutOutcome Enforcer::compile_and_put(const PolicySet &set, const policy::Environment &environment,
                                               const std::vector<SetKey> &keys, const OldImages &old) {
    struct Compiled {
        SetKey key;
        sync::ImagePtr image;
        const InForce *before = nullptr; // the same policies, with other content
    };
    std::vector<Compiled> compiled;
    std::size_t changed = 0;
    for (const auto &key : keys) {
        std::vector<const policy::Policy *> selected;
        for (const auto index : key)
            selected.push_back(&set.policies[index]);
        auto image = std::make_shared<policy::Image>(policy::compile(selected, environment));
        const auto before = old.find(image->policies);
        const bool differs = before != old.end() &&
                             before->second.image->settings.content_hash != image->settings.content_hash &&
                             !writer_.find(image->settings.content_hash);
        changed += differs;
        compiled.push_back({key, std::move(image), differs ? &before->second : nullptr});
    }
    std::stable_partition(compiled.begin(), compiled.end(), [](const auto &entry) { return !entry.before; });

    PutOutcome outcome;
    for (auto &entry : compiled) {
        const bool in_place = entry.before && changed == 1;
        const auto handle =
            in_place ? writer_.change(entry.before->handle, entry.image) : writer_.put(entry.image);
        if (!handle) {
            outcome.result = handle.error(); // names the policy
            return outcome;
        }
        outcome.images.emplace_back(entry.key, InForce{*handle, entry.image});
    }
    return outcome;
}

asio::awaitable<void> Enforcer::settle_all() {
    std::vector<std::string> paths;
    for (const auto &[path, node] : tree_.nodes())
        paths.push_back(path);
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if (const auto node = tree_.nodes().find(paths[i]); node != tree_.nodes().end())
            settle(node->second);
        if (i % slice == slice - 1)
            co_await breathe();
    }
}

asio::awaitable<void> Enforcer::retire_unused(Images old) {
    co_await sleep_for(sync::grace);
    const auto turn = co_await turn_.take();
    std::set<std::uint16_t> used;
    for (const auto &[key, in_force] : images_)
        used.insert(in_force.handle.id);
    for (const auto &[key, in_force] : old) {
        if (!used.insert(in_force.handle.id).second)
            continue;
        const auto handle = in_force.handle;
        const auto retired = co_await on_pool(pool_, [this, handle] { return writer_.retire(handle); });
        if (!retired)
            log_.warning("an old policy could not be cleared", {{"error", retired.error().message}});
    }
    old.clear();
    // A change of policy takes several times the memory of what stays: the rest goes back to the system.
    co_await on_pool(pool_, [] { return ::malloc_trim(0); });
}

asio::awaitable<void> Enforcer::complete() {
    const auto turn = co_await turn_.take();
    completing_ = false; // who comes from here on asks again
    auto keys = co_await missing(*selection_, 0, images_);
    if (!keys.empty()) {
        const auto added = co_await add_images(policies_, environment_, std::move(keys), {}, images_);
        if (!added)
            log_.error("a new container's policies could not be put in force: it is denied",
                       {{"error", added.error().message}});
    }
    std::vector<container::CgroupNode> waiting;
    for (const auto &[id, container] : containers_)
        if (!container.bound && !container.removed)
            waiting.push_back(container.node);
    for (const auto &node : waiting)
        if (images_.contains(selection_->standing(node.path).policies))
            settle(node);
}

void Enforcer::for_each_image(
    const std::function<void(const sync::PolicyHandle &, const policy::Image &)> &visit) const {
    for (const auto &[key, in_force] : images_)
        visit(in_force.handle, *in_force.image);
}

bool Enforcer::all_bound() const {
    return !keep_rows_ && faults_.empty() &&
           std::all_of(containers_.begin(), containers_.end(),
                       [](const auto &entry) { return entry.second.bound || entry.second.removed; });
}

std::vector<std::string> Enforcer::warnings() const {
    std::vector<std::string> sentences = policies_ ? policies_->warnings : std::vector<std::string>{};
    if (keep_rows_)
        sentences.push_back(
            "no policies are known: what the kernel enforced before goes on, new containers have their "
            "birth verdict");
    for (const auto &[id, text] : faults_)
        sentences.push_back(text);
    if (tree_.unwatched() > 0)
        sentences.push_back(
            std::to_string(tree_.unwatched()) +
            " cgroups are beyond the limit of inotify watches (fs.inotify.max_user_watches) and are "
            "looked at every 5 s only");
    return sentences;
}

} // namespace penstock::daemon
