// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/daemon.h"

#include "userspace/base/cgroup_mount.h"
#include "userspace/base/clock.h"
#include "userspace/daemon/api_router.h"
#include "userspace/daemon/api_server.h"
#include "userspace/daemon/audit_keeper.h"
#include "userspace/daemon/cgroup_paths.h"
#include "userspace/daemon/dead_rows.h"
#include "userspace/daemon/files.h"
#include "userspace/daemon/flow_keeper.h"
#include "userspace/daemon/lock.h"
#include "userspace/daemon/map_pressure.h"
#include "userspace/daemon/notify.h"
#include "userspace/daemon/pins_watch.h"
#include "userspace/daemon/pools.h"
#include "userspace/daemon/quotas.h"
#include "userspace/kernel/pin_lock.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <unistd.h>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t events_kept = 10000;
constexpr std::size_t events_at_once = 1024; // then other work has its turn
constexpr auto tick = std::chrono::seconds(1);
constexpr int rescan_ticks = 5;
constexpr int pins_ticks = 2;
constexpr int names_ticks = 10;
constexpr auto shutdown_patience = std::chrono::seconds(10);
constexpr auto check_patience = std::chrono::seconds(2);

class Daemon {
  public:
    Daemon(asio::io_context &io, Pools &pools, const Config &config, const Log &log, UniqueFd pin_lock,
           kernel::Gate gate, kernel::EventRing ring, CgroupPaths paths)
        : io_(io), pools_(pools), pool_(pools.enforcement), log_(log), config_(config),
          pin_lock_(std::move(pin_lock)), gate_(std::move(gate)), ring_(std::move(ring)),
          paths_(std::move(paths)), events_(events_kept) {}

    Result<void> start(PolicyStore store) {
        EnforcerOptions options{paths_.mount, paths_.gate_root, paths_.birth};
        auto enforcer = Enforcer::open(io_, pool_, gate_, std::move(options), log_);
        if (!enforcer)
            return enforcer.error();
        enforcer_ = std::move(*enforcer);
        meter_ = std::make_unique<Meter>(pool_, pools_.readers, gate_, *enforcer_, config_.state_dir, log_);
        enforcer_->on_image = [this](const policy::Image &image) { meter_->add_names(image); };
        quotas_ = std::make_unique<Quotas>(io_, pools_.storing, pools_.readers, gate_, *enforcer_, *meter_,
                                           config_.state_dir, log_);
        quotas_->follow(*enforcer_);
        enforcer_->on_released = [this](std::vector<sync::Row> rows) {
            return meter_->fold(std::move(rows));
        };
        enforcer_->on_freed = [this](const std::vector<sync::Row> &rows) {
            meter_->freed(rows);
            quotas_->freed();
        };
        audit_ = std::make_unique<AuditKeeper>(pools_.storing, *enforcer_, *meter_, config_.state_dir, log_);
        flows_ = std::make_unique<FlowKeeper>(pool_, gate_, *enforcer_, *meter_, log_);
        control_ = std::make_unique<PolicyControl>(io_, pool_, *enforcer_, std::move(store),
                                                   config_.resolv_conf, log_);
        context_ = std::unique_ptr<ApiContext>(new ApiContext{
            pool_, pools_.checks, pools_.readers, *enforcer_, *meter_, *quotas_, *control_, *audit_, events_,
            flows_->log(), paths_.gate_directory, config_.bpffs, gate_.root_id(),
            std::chrono::system_clock::now(), absent_strict_roots(paths_), "", false});
        context_->damaged = {meter_->load_totals(), quotas_->load()};
        for (const auto &sentence : context_->absent_roots)
            log_.warning(sentence);
        router_ = std::make_unique<ApiRouter>(io_, *context_);
        server_ = std::make_unique<ApiServer>(
            io_, log_, [this](ApiRequest request) { return router_->answer(std::move(request)); });
        if (auto listening = server_->listen_unix(config_.api_socket); !listening)
            return listening;
        if (!config_.metrics_address.empty())
            if (auto listening = server_->listen_tcp(config_.metrics_address); !listening)
                return listening;
        asio::co_spawn(io_, bring_up(), asio::detached);
        asio::co_spawn(io_, watch_signals(), asio::detached);
        asio::co_spawn(io_, watch_tree(), asio::detached);
        asio::co_spawn(io_, audit_->run(), asio::detached);
        asio::co_spawn(io_, watch_events(), asio::detached);
        asio::co_spawn(io_, every_second(), asio::detached);
        asio::co_spawn(io_, quotas_->keep_saving(), asio::detached);
        asio::co_spawn(io_, clear_dead_rows(pool_, gate_, log_), asio::detached);
        auto added = [this] { server_->events_added(); };
        asio::co_spawn(io_, watch_map_pressure(*meter_, events_, added), asio::detached);
        asio::co_spawn(io_, enforcer_->sweep_budgets(), asio::detached);
        if (const auto interval = watchdog_interval())
            asio::co_spawn(io_, feed_watchdog(*interval), asio::detached);
        return {};
    }

  private:
    asio::awaitable<void> bring_up() {
        co_await control_->start();
        notify_manager("READY=1");
        log_.info("penstockd is up", {{"version", PENSTOCK_VERSION}, {"gate_root", paths_.gate_directory}});
    }

    asio::awaitable<void> watch_signals() {
        asio::signal_set signals(io_, SIGTERM, SIGINT, SIGHUP);
        for (;;) {
            const int number = co_await signals.async_wait(asio::use_awaitable);
            if (number != SIGHUP)
                break;
            notify_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_ns() / 1000));
            co_await control_->reload();
            notify_manager("READY=1");
        }
        log_.info("stopping: enforcement stays");
        notify_manager("STOPPING=1");
        context_->stopping = true;
        server_->stop();
        asio::co_spawn(io_, give_up(), asio::detached);
        co_await control_->idle(); // a change under way is finished first
        co_await quotas_->save();
        co_await audit_->save();
        io_.stop();
    }

    asio::awaitable<void> give_up() {
        co_await sleep_for(shutdown_patience);
        log_.warning("a change of policy was cut off: the next start mends it");
        io_.stop();
    }

    // Waits on a borrowed descriptor through one of our own.
    asio::awaitable<bool> readable(asio::posix::stream_descriptor &descriptor) {
        boost::system::error_code error;
        co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                       asio::redirect_error(asio::use_awaitable, error));
        co_return !error;
    }

    asio::awaitable<void> watch_tree() {
        asio::posix::stream_descriptor descriptor(io_, ::dup(enforcer_->tree().descriptor()));
        while (co_await readable(descriptor))
            enforcer_->tree_changed();
    }

    asio::awaitable<void> watch_events() {
        asio::posix::stream_descriptor descriptor(io_, ::dup(ring_.descriptor()));
        while (co_await readable(descriptor)) {
            for (;;) {
                const auto read =
                    ring_.consume([this](const abi::ps_event &record) { take(record); }, events_at_once);
                if (!read)
                    log_.error("events could not be read", {{"error", read.error().message}});
                server_->events_added();
                if (!read || *read < events_at_once)
                    break;
                co_await breathe();
            }
        }
    }

    void take(const abi::ps_event &record) {
        if (record.kind == abi::PS_EVENT_BORN) {
            const auto *name = reinterpret_cast<const char *>(record.name);
            const std::string path(name, std::min<std::size_t>(record.name_length, sizeof record.name));
            if (path.starts_with('/')) // else its beginning was cut off: inotify tells
                enforcer_->look_at(path);
        }
        // The kernel tells of every cgroup's end; those that were no containers are nobody's business.
        const bool end = record.kind == abi::PS_EVENT_DYING || record.kind == abi::PS_EVENT_RELEASED;
        if (end && !enforcer_->containers().contains(record.cgroup_id))
            return;
        auto event = meter_->event(record);
        audit_->take(event);
        events_.add(std::move(event));
    }

    // What was lost may have been a birth: the tree has them all.
    void note_lost_events() {
        const auto gate = gate_.maps().gate.read();
        const auto lost = gate.events_lost;
        if (lost != events_lost_ || gate.births_lost != births_lost_)
            enforcer_->rescan();
        if (lost > events_lost_) {
            events_.add(telemetry::lost_event(std::chrono::system_clock::now(), lost - events_lost_));
            server_->events_added();
        }
        events_lost_ = lost;
        births_lost_ = gate.births_lost;
    }

    asio::awaitable<void> every_second() {
        events_lost_ = gate_.maps().gate.read().events_lost; // before this start; the tree was read after
        births_lost_ = gate_.maps().gate.read().births_lost;
        for (int count = 1;; ++count) {
            co_await sleep_for(tick);
            note_lost_events();
            if (co_await flows_->look())
                server_->events_added();
            co_await enforcer_->sweep();
            if (count % pins_ticks == 0) {
                look_at_pins(context_->pins_trouble, gate_, pin_lock_, config_.bpffs, log_);
                context_->absent_roots = absent_strict_roots(paths_);
            }
            co_await meter_->look_for_activity(Meter::Due::by_itself);
            if (count % names_ticks == 0)
                co_await meter_->make_room_for_names();
            if (enforcer_->tree().unwatched() > 0 && count % rescan_ticks == 0)
                enforcer_->rescan();
        }
    }

    asio::io_context &io_;
    Pools &pools_;
    asio::thread_pool &pool_; // of enforcement
    const Log &log_;
    const Config &config_;
    UniqueFd pin_lock_;
    kernel::Gate gate_;
    kernel::EventRing ring_;
    CgroupPaths paths_;
    telemetry::EventLog events_;
    std::uint64_t events_lost_ = 0, births_lost_ = 0;
    std::unique_ptr<Enforcer> enforcer_;
    std::unique_ptr<Meter> meter_;
    std::unique_ptr<Quotas> quotas_;
    std::unique_ptr<AuditKeeper> audit_;
    std::unique_ptr<FlowKeeper> flows_;
    std::unique_ptr<PolicyControl> control_;
    std::unique_ptr<ApiContext> context_;
    std::unique_ptr<ApiRouter> router_;
    std::unique_ptr<ApiServer> server_;
};

} // namespace

Result<void> run_daemon(const Config &config, const Log &log) {
    PolicyStore store(config.policies, config.state_dir);
    if (auto made = store.prepare(); !made)
        return made;
    if (auto made = make_directory(config.run_dir, 0755); !made)
        return made;
    const auto lock = lock_state(config.state_dir);
    if (!lock)
        return lock.error();
    const auto mount = cgroup_mount();
    if (!mount)
        return mount.error();
    auto paths = cgroup_paths(mount->string(), config);
    if (!paths)
        return paths.error();
    auto pins = kernel::lock_pins(config.bpffs);
    if (!pins)
        return pins.error();

    kernel::GateOptions options;
    options.gate_root = paths->gate_directory;
    options.bpffs = config.bpffs;
    auto gate = kernel::Gate::open(options);
    if (!gate)
        return gate.error();
    auto ring = gate->open_events();
    if (!ring)
        return ring.error();
    for (const auto &feature : gate->features())
        if (feature.state != kernel::Feature::State::on)
            log.warning("the kernel lacks a feature",
                        {{"feature", feature.name}, {"detail", feature.detail}, {"loses", feature.loses}});

    asio::io_context io(1);
    Pools pools;
    Daemon daemon(io, pools, config, log, std::move(*pins), std::move(*gate), std::move(*ring),
                  std::move(*paths));
    if (auto started = daemon.start(std::move(store)); !started)
        return started;
    io.run();
    pools.enforcement.join(); // before the parts its work uses
    pools.readers.join();
    pools.storing.join();
    if (!ends_soon(pools.checks, check_patience)) {
        // It changes nothing, and nothing else is left to do: the locks are not held for it.
        log.warning("a check of a policy was cut off");
        std::fflush(nullptr);
        ::_exit(0);
    }
    return {};
}

} // namespace penstock::daemon
