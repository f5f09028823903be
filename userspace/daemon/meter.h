// SPDX-License-Identifier: Apache-2.0
// Reads what the kernel counts and learns, and gives it names: snapshots, events, learned addresses. Owns the totals of
// containers that are gone. Changes no row and no policy.
#pragma once

#include "userspace/daemon/enforcer.h"
#include "userspace/sync/name_rows.h"
#include "userspace/telemetry/activity.h"
#include "userspace/telemetry/event.h"
#include "userspace/telemetry/snapshot.h"
#include "userspace/telemetry/totals.h"

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace penstock::daemon {

struct LearnedName {
    std::string name;
    std::int64_t expires_wall_ns = 0;
    bool expired = false;
};
struct LearnedAddress {
    std::uint32_t slot = 0;
    policy::Address address;
    bool is_private = false;
    std::vector<LearnedName> names;
};

class Meter {
  public:
    // The first pool is enforcement's, the second reads for who only wants to know.
    Meter(boost::asio::thread_pool &, boost::asio::thread_pool &readers, kernel::Gate &, Enforcer &,
          std::string state_dir, const Log &);

    std::string
    load_totals(); // of earlier daemons; a file that is no such is set aside: the sentence, else ""

    // Counters, fills and losses, one reading at a time; the caller adds what it knows of policies and reloads.
    boost::asio::awaitable<Result<telemetry::Snapshot>> snapshot();
    boost::asio::awaitable<Result<std::vector<LearnedAddress>>> learned();

    // Of the maps that the programs fill, counted at most every 10 s.
    boost::asio::awaitable<std::vector<telemetry::MapFill>> fills();

    // What a container's idle time is told by, when it is due: every 10 s, or every second while somebody asks; with very
    // many rows less often.
    enum class Due { by_itself, asked };
    boost::asio::awaitable<void> look_for_activity(Due);
    std::optional<telemetry::Activity::Idle> idle(const Container &) const; // none: not looked at yet

    telemetry::Event event(const abi::ps_event &) const;
    void add_names(const policy::Image &);
    const telemetry::Totals::RuleName *rule(std::uint64_t id) const;

    // Counter rows of idle names make room for others, where a container is short of it. At least a second apart.
    boost::asio::awaitable<void> make_room_for_names();

    // For the enforcer: what these slots have counted is in the totals and on disk; false: not yet.
    boost::asio::awaitable<bool> fold(std::vector<sync::Row>);
    void freed(const std::vector<sync::Row> &);

  private:
    using Domains = std::map<std::pair<std::uint32_t, std::uint64_t>, std::string>; // slot and name hash
    struct Reading {
        std::vector<sync::Counted> counters;
        Domains domains; // of their names
    };
    Result<Reading> read_all() const;
    telemetry::CounterRow row_of(const sync::Counted &) const;
    std::string domain_of(const abi::ps_counter_key &) const;
    boost::asio::awaitable<void> count_maps(telemetry::Snapshot &);
    std::string totals_path() const { return state_dir_ + "/totals"; }

    boost::asio::thread_pool &pool_, &readers_;
    kernel::Gate &gate_;
    Enforcer &enforcer_;
    std::string state_dir_;
    const Log &log_;
    telemetry::Totals totals_;
    telemetry::Activity activity_;
    std::chrono::steady_clock::time_point activity_due_[2]; // by Due
    bool looking_ = false;                                  // for activity
    std::uint64_t epoch_ = 0; // raised when counts move between the kernel and the totals
    bool freeing_ =
        false; // slots are being cleared: whether their counts are still in the kernel can't be told
    bool moving_ = false; // rows go under other keys: one may be read twice, or not at all
    sync::NameRows name_rows_;
    std::unordered_map<std::uint64_t, telemetry::Totals::RuleName> names_;
    Domains domains_; // of the last reading: a text may leave the kernel before its counters do
    std::vector<telemetry::MapFill> fills_;
    std::uint64_t learned_addresses_ = 0;
    std::chrono::steady_clock::time_point filled_;
};

} // namespace penstock::daemon
