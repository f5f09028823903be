// SPDX-License-Identifier: Apache-2.0
// The flow log: takes records out of the kernel once a second, gives them names, and keeps the last of them for readers.
#pragma once

#include "userspace/daemon/meter.h"
#include "userspace/sync/flow_rows.h"
#include "userspace/telemetry/event.h"

#include <unordered_map>

namespace penstock::daemon {

class FlowKeeper {
  public:
    FlowKeeper(boost::asio::thread_pool &pool, kernel::Gate &gate, const Enforcer &enforcer,
               const Meter &meter, const Log &log)
        : pool_(pool), gate_(gate), enforcer_(enforcer), meter_(meter), log_(log), rows_(gate) {}

    // True if there is anything new in the log. Before slots are freed: their tenants' names are still known then.
    boost::asio::awaitable<bool> look();

    telemetry::EventLog &log() { return events_; }

  private:
    struct Owner {
        std::string path;
        std::uint64_t cgroup_id = 0;
    };
    struct Reading {
        std::vector<sync::FlowRecord> records;
        std::vector<std::string> names; // of each, as people write it
    };
    Result<Reading> read();
    void note_owners();
    telemetry::Event event(const sync::FlowRecord &, std::string name) const;

    static constexpr std::size_t kept = 10000;
    boost::asio::thread_pool &pool_; // of enforcement: slots are freed there, too
    kernel::Gate &gate_;
    const Enforcer &enforcer_;
    const Meter &meter_;
    const Log &log_;
    sync::FlowRows rows_;
    telemetry::EventLog events_{kept};
    std::unordered_map<std::uint32_t, Owner> owners_; // by the serial of a row, as long as it is there
};

} // namespace penstock::daemon
