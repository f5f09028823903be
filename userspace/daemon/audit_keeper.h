// SPDX-License-Identifier: Apache-2.0
// Keeps the record of audit: fed with events by the loop, given the names that addresses were learned for, written to the
// state directory so that a restart keeps it. What is lost by a crash is at most half a minute of it: it decides nothing.
#pragma once

#include "userspace/daemon/meter.h"
#include "userspace/telemetry/audit_record.h"

#include <string>

namespace penstock::daemon {

class AuditKeeper {
  public:
    AuditKeeper(boost::asio::thread_pool &storing, Enforcer &, Meter &, const std::string &state_dir,
                const Log &);

    void take(const telemetry::Event &event) { records_.add(event); }
    boost::asio::awaitable<void>
    run(); // for ever; begins with the record of the last daemon, before any event
    boost::asio::awaitable<void> look_up_names();
    boost::asio::awaitable<void> save(); // if anything changed since

    // Of a container; empty if there is none.
    telemetry::AuditRecord of(const std::string &cgroup);

  private:
    void load(); // a file that is no record is left out, with a warning

    boost::asio::thread_pool &pool_;
    Enforcer &enforcer_;
    Meter &meter_;
    std::string path_;
    const Log &log_;
    telemetry::AuditRecords records_;
    std::uint64_t saved_ = 0; // records_.changes() that are on disk
};

} // namespace penstock::daemon
