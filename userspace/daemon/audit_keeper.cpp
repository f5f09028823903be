// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/audit_keeper.h"

#include "userspace/daemon/files.h"

#include <cerrno>
#include <map>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t largest_record = 64 * 1024 * 1024;
constexpr auto names_interval =
    std::chrono::seconds(10); // addresses are learned long before they are forgotten
constexpr int save_rounds = 3;

} // namespace

AuditKeeper::AuditKeeper(asio::thread_pool &storing, Enforcer &enforcer, Meter &meter,
                         const std::string &state_dir, const Log &log)
    : pool_(storing), enforcer_(enforcer), meter_(meter), path_(state_dir + "/audit"), log_(log) {}

void AuditKeeper::load() {
    const auto text = read_file(path_, largest_record);
    if (!text && text.error().code == ENOENT)
        return;
    auto records = text ? telemetry::AuditRecords::parse(*text) : text.error();
    if (records)
        records_ = std::move(*records);
    else
        log_.warning("the record of audit begins anew", {{"error", set_aside(path_, records.error())}});
}

asio::awaitable<void> AuditKeeper::run() {
    load();
    for (int round = 1;; ++round) {
        co_await sleep_for(names_interval);
        co_await look_up_names();
        if (round % save_rounds == 0)
            co_await save();
    }
}

asio::awaitable<void> AuditKeeper::look_up_names() {
    std::map<std::uint32_t, std::string> fresh; // paths by slot
    for (const auto &[id, container] : enforcer_.containers())
        if (auto *record = records_.find(container.node.path);
            record && !container.removed && std::exchange(record->has_new_flows, false))
            fresh[container.row.slot] = container.node.path;
    if (fresh.empty())
        co_return;
    const auto learned = co_await meter_.learned();
    if (!learned) {
        log_.warning("names of audited addresses could not be read", {{"error", learned.error().message}});
        co_return;
    }
    std::map<std::uint32_t, telemetry::AuditRecord::NamesOf> names;
    for (const auto &address : *learned)
        if (fresh.contains(address.slot))
            for (const auto &name : address.names)
                names[address.slot][address.address].push_back(name.name);
    for (const auto &[slot, of_addresses] : names)
        if (auto *record = records_.find(fresh.at(slot)))
            record->attach(of_addresses);
}

asio::awaitable<void> AuditKeeper::save() {
    const auto changes = records_.changes();
    if (changes == saved_)
        co_return;
    const std::string text = records_.text();
    auto work = [&] { return replace_file(path_, text); };
    const auto stored = co_await on_pool(pool_, work);
    if (stored)
        saved_ = changes;
    else
        log_.warning("the record of audit could not be stored", {{"error", stored.error().message}});
}

telemetry::AuditRecord AuditKeeper::of(const std::string &cgroup) {
    telemetry::AuditRecord copy;
    if (const auto *record = records_.find(cgroup)) {
        for (const auto &entry : record->entries())
            copy.put(entry);
        copy.set_dropped(record->dropped());
    }
    return copy;
}

} // namespace penstock::daemon
