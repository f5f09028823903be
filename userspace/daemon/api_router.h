// SPDX-License-Identifier: Apache-2.0
// The endpoints of docs/api.md: a request value to an answer value. Reads the daemon's state and asks its policy control
// for changes; no sockets here.
#pragma once

#include "userspace/daemon/api_message.h"
#include "userspace/daemon/audit_keeper.h"
#include "userspace/daemon/meter.h"
#include "userspace/daemon/policy_control.h"
#include "userspace/daemon/quotas.h"
#include "userspace/daemon/shared_reading.h"

#include <boost/asio/awaitable.hpp>
#include <boost/json/fwd.hpp>
#include <chrono>
#include <memory>
#include <string>

namespace penstock::daemon {

struct ApiContext {                    // borrowed: lives as long as the daemon
    boost::asio::thread_pool &pool;    // of enforcement
    boost::asio::thread_pool &checks;  // judges texts that change nothing,
    boost::asio::thread_pool &readers; // and this reads what the kernel counts: neither holds up enforcement
    Enforcer &enforcer;
    Meter &meter;
    Quotas &quotas;
    PolicyControl &control;
    AuditKeeper &audit;
    telemetry::EventLog &events, &flows;
    std::string gate_root, bpffs; // absolute paths
    std::uint64_t gate_root_id = 0;
    std::chrono::system_clock::time_point started;
    std::vector<std::string> absent_roots; // sentences
    std::string pins_trouble;              // why nothing is enforced any more; empty: the links are there
    bool stopping = false;
    std::vector<std::string> damaged =
        {}; // sentences of files that were set aside at the start; empty: was not
};

constexpr unsigned most_checks = 4; // one text is judged, the others wait

// Shares the counter: at the end of the loop the frame that holds this is destroyed after the router.
struct CountedCheck {
    explicit CountedCheck(std::shared_ptr<unsigned> counter) : count(std::move(counter)) { ++*count; }
    ~CountedCheck() { --*count; }
    CountedCheck(const CountedCheck &) = delete;
    CountedCheck &operator=(const CountedCheck &) = delete;
    std::shared_ptr<unsigned> count;
};

class ApiRouter {
  public:
    ApiRouter(boost::asio::io_context &io, const ApiContext &context)
        : context_(context), check_turn_(io.get_executor()), snapshots_(io.get_executor()),
          learned_(io.get_executor()), begun_quotas_(io.get_executor()) {}

    boost::asio::awaitable<ApiAnswer> answer(ApiRequest);

  private:
    boost::asio::awaitable<ApiAnswer> get(const ApiRequest &);
    boost::asio::awaitable<ApiAnswer> post(const ApiRequest &);
    boost::asio::awaitable<ApiAnswer> judge(const ApiRequest &, const policy::Source &);
    boost::asio::awaitable<ApiAnswer> status();
    boost::asio::awaitable<ApiAnswer> features();
    boost::asio::awaitable<ApiAnswer> metrics();
    boost::asio::awaitable<ApiAnswer> counters(const ApiRequest &);
    boost::asio::awaitable<ApiAnswer> container(const Container &);
    boost::asio::awaitable<ApiAnswer> learned(const ApiRequest &);
    boost::asio::awaitable<ApiAnswer> explain(const ApiRequest &);
    boost::asio::awaitable<ApiAnswer> containers();
    boost::asio::awaitable<ApiAnswer> quotas(const ApiRequest &);
    ApiAnswer change_quota(const ApiRequest &);
    boost::asio::awaitable<ApiAnswer> suggest(const ApiRequest &);
    boost::asio::awaitable<Result<telemetry::Snapshot>> read_snapshot();
    boost::asio::awaitable<std::shared_ptr<const std::vector<QuotaState>>> begun_quotas();
    boost::asio::awaitable<std::shared_ptr<const Result<telemetry::Snapshot>>> snapshot();
    boost::asio::awaitable<std::shared_ptr<const Result<std::vector<LearnedAddress>>>> all_learned();
    ApiAnswer ready() const;
    ApiAnswer stream(const ApiRequest &, telemetry::EventLog &from) const;

    const ApiContext &context_;
    Turn check_turn_;
    SharedReading<Result<telemetry::Snapshot>> snapshots_;
    SharedReading<Result<std::vector<LearnedAddress>>> learned_;
    SharedReading<std::vector<QuotaState>> begun_quotas_;
    std::shared_ptr<unsigned> checks_waiting_ = std::make_shared<unsigned>(0); // or under way
};

} // namespace penstock::daemon
