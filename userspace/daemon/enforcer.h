// SPDX-License-Identifier: Apache-2.0
// What is in force, and for whom: joins the cgroup tree, the policies and the kernel. Owned by the loop; its
// coroutines are the only code that changes rows and policies. Knows no API, no files of policy, no clocks on walls.
//
// A set of policies comes into force so: for each combination of policies that containers have, compile (pool) and put
// (pool) under a new id; when all are whole in the kernel, bind each container (one store); after a grace of 1 s retire what
// nothing is bound to. A failure before the binding leaves everything as it was.
#pragma once

#include "userspace/base/log.h"
#include "userspace/container/cgroup_tree.h"
#include "userspace/container/selection.h"
#include "userspace/daemon/async.h"
#include "userspace/daemon/policy_set.h"
#include "userspace/sync/idle_budgets.h"
#include "userspace/sync/policy_writer.h"
#include "userspace/sync/rows.h"

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace penstock::daemon {

struct Container {
    container::CgroupNode node; // path empty: removed before this daemon started
    sync::Row row;
    std::vector<std::string> policies; // names, in order of the set; empty: bound to a birth verdict
    std::uint16_t birth = abi::PS_POLICY_UNBOUND;
    sync::PolicyHandle handle;
    sync::ImagePtr image;                                         // null: bound to a birth verdict
    bool bound = false;                                           // to what is wanted
    std::uint64_t bound_ns = 0;                                   // since when, by CLOCK_MONOTONIC
    std::optional<std::chrono::steady_clock::time_point> removed; // the cgroup is gone, sockets may live
};

struct EnforcerOptions {
    std::string mount;     // of cgroup v2
    std::string gate_root; // below it: "/" or "/a/b"
    container::BirthRules birth;
};

class Enforcer {
  public:
    static Result<std::unique_ptr<Enforcer>> open(boost::asio::io_context &, boost::asio::thread_pool &,
                                                  kernel::Gate &, EnforcerOptions, const Log &);

    // Brings the set into force for every container. On an error the one before is in force.
    boost::asio::awaitable<Result<void>> enforce(PolicySetPtr, policy::Environment);

    void tree_changed();                 // the watch is readable
    void look_at(std::string_view path); // a cgroup was born
    void rescan();
    boost::asio::awaitable<void> sweep(); // dying and released slots; every 2 s and on the kernel's word
    boost::asio::awaitable<void> sweep_budgets(); // of rules that nothing limits any more; without an end

    const std::unordered_map<std::uint64_t, Container> &containers() const { return containers_; }
    const Container *at_slot(std::uint32_t slot) const;
    const std::string &gate_root() const { return options_.gate_root; } // below the mount
    const container::BirthRules &birth_rules() const { return options_.birth; }
    const container::CgroupTree &tree() const { return tree_; }
    PolicySetPtr policies() const { return policies_; }
    const policy::Environment &environment() const { return environment_; }
    const container::Selection &selection() const { return *selection_; }
    std::uint32_t generation() const { return generation_; }
    void for_each_image(const std::function<void(const sync::PolicyHandle &, const policy::Image &)> &) const;
    bool all_bound() const;
    std::vector<std::string> warnings() const;
    sync::Rows &rows() { return rows_; }

    // Called by sweep() with slots that are RELEASED and can have no more packets, before they are freed; false: not yet.
    std::function<boost::asio::awaitable<bool>(std::vector<sync::Row>)> on_released;
    std::function<void(const std::vector<sync::Row> &)>
        before_freed; // the same, when they are freed right after
    std::function<void(const std::vector<sync::Row> &)> on_freed;
    std::function<void(const policy::Image &)> on_image; // each image that may be bound from now on
    // A container's row is there. If something is kept for its path, a row of ours is bound after this; one of the birth
    // program's may be bound already.
    std::function<bool(const std::string &path)> is_kept;
    std::function<void(const std::string &path, const sync::Row &, const policy::Image &)> before_binding;
    std::function<void(const Container &)> on_removed; // its cgroup is gone, its row is not

  private:
    using SetKey = std::vector<std::size_t>; // indices of policies, ascending
    struct InForce {
        sync::PolicyHandle handle;
        sync::ImagePtr image;
    };
    using Images = std::map<SetKey, InForce>;
    using OldImages = std::map<std::vector<std::string>, InForce>; // by names: indices change with the set
    struct PutOutcome {
        Result<void> result;
        std::vector<std::pair<SetKey, InForce>> images;
    };

    Enforcer(boost::asio::io_context &, boost::asio::thread_pool &, kernel::Gate &, sync::PolicyWriter,
             container::CgroupTree, EnforcerOptions, const Log &);

    boost::asio::awaitable<std::vector<SetKey>> missing(const container::Selection &, std::size_t policies,
                                                        const Images &) const;
    boost::asio::awaitable<Result<void>> add_images(PolicySetPtr, policy::Environment, std::vector<SetKey>,
                                                    OldImages, Images &);
    PutOutcome compile_and_put(const PolicySet &, const policy::Environment &, const std::vector<SetKey> &,
                               const OldImages &);
    OldImages images_by_names() const;
    boost::asio::awaitable<void> settle_all();
    boost::asio::awaitable<void> retire_unused(Images old);
    boost::asio::awaitable<void> complete(); // compiles for combinations that new containers brought

    void apply(const std::vector<container::TreeChange> &);
    void settle(const container::CgroupNode &);
    void place(const container::CgroupNode &, const container::Standing &);
    void place_again();
    void unplace(const container::CgroupNode &);
    void removed(const container::CgroupNode &);
    Result<void> adopt_rows();
    Result<void> write_birth_patterns();
    Result<void> write_selected_at_birth();
    void dying_too_long(std::chrono::steady_clock::time_point now);
    std::vector<sync::IdleBudgets::Holder> budget_holders() const;
    std::vector<sync::Row> released_for_good(std::chrono::steady_clock::time_point now);

    boost::asio::io_context &io_;
    boost::asio::thread_pool &pool_;
    kernel::Gate &gate_;
    const Log &log_;
    EnforcerOptions options_;
    sync::Rows rows_;
    sync::PolicyWriter writer_;      // on the pool, by who holds turn_
    sync::IdleBudgets idle_budgets_; // the same
    container::CgroupTree tree_;
    Turn turn_;
    Turn sweep_turn_;

    PolicySetPtr policies_;
    policy::Environment environment_;
    std::shared_ptr<const container::Selection> selection_;
    Images images_;
    std::unordered_map<std::uint64_t, Container> containers_; // by cgroup id
    std::unordered_map<std::uint32_t, std::uint64_t> slots_;  // slot -> cgroup id
    std::map<std::uint64_t, std::string> faults_;             // cgroup id -> why it has no row
    struct Released {
        std::uint32_t serial = 0;
        std::chrono::steady_clock::time_point seen;
    };
    std::map<std::uint32_t, Released> released_;        // by slot: since when a sweep has seen it RELEASED
    std::map<std::uint16_t, sync::PolicyHandle> birth_; // by PS_POLICY_BIRTH_*
    std::uint32_t generation_ = 0;
    bool keep_rows_ = true;  // no set yet: rows of the kernel stay as they are
    bool collected_ = false; // what a dead daemon left half done
    bool completing_ = false;
};

} // namespace penstock::daemon
