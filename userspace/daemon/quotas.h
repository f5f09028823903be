// SPDX-License-Identifier: Apache-2.0
// Quotas of containers: what is spent (quotas.cpp), and kept where the kernel's maps do not reach, over reboots and a
// container's restart (quotas_kept.cpp). The kernel counts and denies by itself; this reads, and writes budgets only before
// their first octet or when an administrator asks.
//
// A container's way: its row is made -> resume(): what is stored for its path goes into its budgets -> it is bound -> each
// second save() notes what changed and writes the file -> note_now(): its cgroup is gone, the next of its path goes on from
// here -> released(): the last word, before its budgets are cleared -> freed().
#pragma once

#include "userspace/daemon/meter.h"
#include "userspace/daemon/quota_state.h"
#include "userspace/daemon/quota_store.h"
#include "userspace/sync/budgets.h"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace penstock::daemon {

class Quotas {
  public:
    // The first pool is this one's own: it waits for the disk. The second reads for who only wants to know.
    Quotas(boost::asio::io_context &, boost::asio::thread_pool &, boost::asio::thread_pool &readers,
           kernel::Gate &, const Enforcer &, const Meter &, const std::string &state_dir, const Log &);

    // Of earlier daemons. A file that is no such is set aside, as what is enforced must not wait for it: the
    // sentence, else "".
    std::string load();

    void follow(Enforcer &); // its containers, from their rows to their ends
    void freed() { freeing_ = false; }
    boost::asio::awaitable<void> save();       // the file, if something changed
    std::vector<std::string> troubles() const; // sentences: what the file does not have
    boost::asio::awaitable<void> keep_saving();

    // Those of running containers in which a window has begun: at most PS_BUDGETS, however many rules there are. Of one
    // container every quota. By container, policy, rule; the container's own first. Read and made on the readers' pool.
    boost::asio::awaitable<std::vector<QuotaState>> list(std::optional<std::uint64_t> cgroup = {});
    // One of a container's; none if its policies have no such.
    Result<std::optional<QuotaState>> find(const Container &, std::uint64_t rule) const;

    enum class Outcome { done, no_quota, not_begun, other_window };
    Result<Outcome> reset(const Container &, std::uint64_t rule);
    Result<Outcome> add(const Container &, std::uint64_t rule, std::uint64_t octets);

  private:
    struct Seen { // of a budget, when it was last noted
        std::uint64_t rule, spent, granted, told, window;
        std::uint32_t slot;
        bool operator==(const Seen &) const = default;
    };
    void resume(const std::string &path, const sync::Row &, const policy::Image &);
    void released(const std::vector<sync::Row> &);
    static Seen seen_of(const abi::ps_budget &);
    std::vector<sync::Budget> changed() const;
    bool note(const sync::Budget &);
    boost::asio::awaitable<QuotaStore::Entries> entries_by_turns();
    void note_now(const Container &);
    bool set(const QuotaKey &, const KeptQuota &);
    void go_on(const QuotaKey &, KeptQuota &, const sync::Row &, const policy::Image &);
    struct Owner { // of a slot, for the pool
        std::string path;
        std::uint64_t cgroup_id = 0;
        sync::ImagePtr image;
    };
    using Owners = std::unordered_map<std::uint32_t, Owner>;
    static QuotaState state(const Owner &, std::uint64_t rule, const abi::ps_limits &,
                            const abi::ps_budget *);
    Owners owners(std::optional<std::uint64_t> cgroup) const;
    std::vector<QuotaState> read(const Owners &, bool whole_ones) const;

    boost::asio::thread_pool &pool_, &readers_;
    const Enforcer &enforcer_;
    const Meter &meter_;
    const Log &log_;
    std::string path_;
    sync::Budgets budgets_;
    QuotaStore store_;
    Turn turn_;                                    // of save()
    std::unordered_map<std::uint32_t, Seen> seen_; // by index; of save(), on the pool or the loop by turns
    std::uint64_t epoch_ = 0;                      // raised when slots go to others
    bool freeing_ = false;                         // they do just now
    bool changed_ = false;                         // the store, since the file was written
    std::string failure_;                          // why the file could not be written
    std::size_t left_out_ = 0;                     // what had no room in it
};

} // namespace penstock::daemon
