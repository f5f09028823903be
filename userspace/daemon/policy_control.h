// SPDX-License-Identifier: Apache-2.0
// Changes of policy, each all or nothing: start, reload, apply, remove. Read, load, enforce, store, in this order; what
// fails leaves the set before in force. One at a time.
#pragma once

#include "userspace/daemon/enforcer.h"
#include "userspace/daemon/policy_store.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace penstock::daemon {

struct ChangeOutcome {
    unsigned status = 200; // as the API answers
    std::string error;
    policy::Diagnostics diagnostics;
    std::vector<std::string> policies; // names the change was about
};

struct ReloadRecord {
    std::chrono::system_clock::time_point time;
    bool ok = false;
    policy::Diagnostics diagnostics;
};

class PolicyControl {
  public:
    PolicyControl(boost::asio::io_context &, boost::asio::thread_pool &, Enforcer &, PolicyStore,
                  std::string resolv_conf, const Log &);

    // The directory if it is in order, else what was accepted last.
    boost::asio::awaitable<void> start();
    boost::asio::awaitable<ChangeOutcome> reload();
    boost::asio::awaitable<ChangeOutcome> apply(policy::Source);
    boost::asio::awaitable<ChangeOutcome> remove(std::string name);

    boost::asio::awaitable<void> idle(); // when no change is under way

    const std::optional<ReloadRecord> &last() const { return last_; }
    // A refused start that found nothing accepted before: the sentence for the operator.
    const std::string &trouble() const { return trouble_; }

  private:
    boost::asio::awaitable<ChangeOutcome> change_to(LoadOutcome);
    boost::asio::awaitable<ChangeOutcome> change_stored(std::vector<StoredSource>,
                                                        std::vector<StoredSource> added,
                                                        std::vector<std::string> dropped_files);
    boost::asio::awaitable<LoadOutcome> read_and_load();
    boost::asio::awaitable<policy::Environment> environment();
    ChangeOutcome recorded(ChangeOutcome);
    void report(const ChangeOutcome &) const;

    boost::asio::thread_pool &pool_;
    Enforcer &enforcer_;
    PolicyStore store_;
    std::string resolv_conf_;
    const Log &log_;
    Turn turn_;
    std::optional<ReloadRecord> last_;
    std::string trouble_;
};

// A YAML text at its lines "---": documents are stored one a file.
std::vector<std::string> split_documents(const std::string &yaml);

} // namespace penstock::daemon
