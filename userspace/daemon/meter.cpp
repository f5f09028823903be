// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/meter.h"

#include "userspace/base/clock.h"
#include "userspace/daemon/files.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr std::size_t largest_totals = 64 * 1024 * 1024;
constexpr int patience = 200; // times a few ms

Result<std::vector<sync::Counted>> read_counters(const kernel::CounterMap &counters,
                                                 const kernel::CounterMap::Wanted &wanted) {
    std::vector<sync::Counted> all;
    auto read = counters.for_each(wanted, [&](const abi::ps_counter_key &key, const abi::ps_counter &sum) {
        if (sum.packets > 0) // rows are made ahead for flows that may never send
            all.push_back({key, sum});
    });
    if (!read)
        return read.error();
    return all;
}

std::vector<telemetry::FeatureState> states_of(const kernel::Features &features) {
    std::vector<telemetry::FeatureState> states;
    for (const auto &feature : features)
        states.push_back(
            {feature.name, feature.state == kernel::Feature::State::on, feature.detail, feature.loses});
    return states;
}

} // namespace

Meter::Meter(asio::thread_pool &pool, asio::thread_pool &readers, kernel::Gate &gate, Enforcer &enforcer,
             std::string state_dir, const Log &log)
    : pool_(pool), readers_(readers), gate_(gate), enforcer_(enforcer), state_dir_(std::move(state_dir)),
      log_(log), name_rows_(gate) {}

std::string Meter::load_totals() {
    const auto text = read_file(totals_path(), largest_totals);
    if (!text && text.error().code == ENOENT)
        return {};
    auto totals = text ? telemetry::Totals::parse(*text) : text.error();
    if (!totals) {
        auto sentence = set_aside(totals_path(), totals.error());
        log_.error("the sums of containers that are gone begin anew", {{"error", sentence}});
        return sentence;
    }
    totals_ = std::move(*totals);
    const auto pending = totals_.pending();
    for (const auto &slot : pending) // freed to the end before the last daemon could note it
        if (slot.first >= kernel::SlotTable::size() || enforcer_.rows().at(slot.first).serial != slot.second)
            totals_.settled(slot);
    return {};
}

void Meter::add_names(const policy::Image &image) {
    for (const auto &[id, info] : image.rules)
        names_[id] = {info.policy, info.rule};
}

const telemetry::Totals::RuleName *Meter::rule(std::uint64_t id) const {
    const auto found = names_.find(id);
    return found != names_.end() ? &found->second : totals_.name(id);
}

// Runs on a pool; the last reading's domains stay as they are meanwhile.
Result<Meter::Reading> Meter::read_all() const {
    auto counters = read_counters(gate_.maps().counters, [](const auto &) { return true; });
    if (!counters)
        return counters.error();
    Reading reading{std::move(*counters), {}};
    for (const auto &counted : reading.counters) {
        const std::pair name(counted.key.slot, counted.key.name_hash);
        if (name.second < abi::PS_NAME_FIRST_HASH || reading.domains.contains(name))
            continue;
        if (const auto known = domains_.find(name); known != domains_.end()) {
            reading.domains.insert(*known);
        } else if (const auto domain = gate_.maps().domains.lookup({name.second, name.first, 0});
                   domain && *domain) {
            reading.domains[name] = telemetry::domain_name(**domain);
        }
    }
    return reading;
}

telemetry::CounterRow Meter::row_of(const sync::Counted &counted) const {
    telemetry::CounterRow row;
    const auto &key = counted.key;
    if (const auto *container = enforcer_.at_slot(key.slot)) {
        row.container = container->node.path;
        row.cgroup_id = container->node.id;
    }
    if (key.rule != 0) {
        const auto *name = rule(key.rule);
        row.policy = name ? name->policy : "";
        row.rule = name ? name->rule : telemetry::hex_id(key.rule);
    }
    row.domain = domain_of(key);
    row.direction = key.direction;
    row.verdict = key.verdict;
    row.reason = key.reason;
    row.packets = counted.sum.packets;
    row.bytes = counted.sum.bytes;
    return row;
}

asio::awaitable<Result<telemetry::Snapshot>> Meter::snapshot() {
    telemetry::Snapshot snapshot;
    for (int attempt = 0;; ++attempt) {
        const auto before = epoch_;
        const auto reading = co_await on_pool(readers_, [this] { return read_all(); });
        if (!reading)
            co_return reading.error();
        if ((freeing_ || moving_ || epoch_ != before) && attempt < patience) {
            co_await sleep_for(std::chrono::milliseconds(2));
            continue; // a slot was folded or cleared meanwhile: its counts would be seen twice, or not at all
        }
        domains_ = reading->domains;
        for (const auto &counted : reading->counters)
            if (!totals_.is_pending({counted.key.slot, enforcer_.rows().at(counted.key.slot).serial}))
                snapshot.counters.push_back(row_of(counted));
        break;
    }
    for (const auto &[key, sum] : totals_.sums()) {
        telemetry::CounterRow row = row_of(
            {{key.rule, 0, UINT32_MAX, key.direction, key.verdict, key.reason, 0}, {sum.packets, sum.bytes}});
        snapshot.counters.push_back(std::move(row));
    }
    telemetry::sort_and_merge(snapshot.counters);
    const auto gate = gate_.maps().gate.read();
    snapshot.events_lost = gate.events_lost;
    snapshot.counters_lost = gate.counters_lost;
    snapshot.births_lost = gate.births_lost;
    snapshot.scratch_lost = gate.scratch_lost;
    snapshot.abi_version = gate.abi_version;
    snapshot.features = states_of(gate_.features());
    for (const auto &[id, container] : enforcer_.containers())
        ++(container.removed ? snapshot.dying : snapshot.containers);
    snapshot.generation = enforcer_.generation();
    co_await count_maps(snapshot);
    snapshot.time = std::chrono::system_clock::now();
    co_return snapshot;
}

telemetry::Event Meter::event(const abi::ps_event &record) const {
    const auto offset = std::chrono::nanoseconds(wall_of_monotonic(0));
    auto event = telemetry::from_record(record, offset);
    const auto found = enforcer_.containers().find(record.cgroup_id);
    if (found != enforcer_.containers().end()) {
        event.container = found->second.node.path;
        for (const auto &name : found->second.policies)
            event.policy += (event.policy.empty() ? "" : "+") + name;
    }
    if (record.rule != 0) {
        const auto *name = rule(record.rule);
        event.policy = name ? name->policy : "";
        event.rule = name ? name->rule : telemetry::hex_id(record.rule);
    }
    return event;
}

asio::awaitable<bool> Meter::fold(std::vector<sync::Row> rows) {
    std::set<std::uint32_t> fresh; // not in the totals yet
    for (const auto &row : rows)
        if (!totals_.is_pending({row.slot, row.serial}))
            fresh.insert(row.slot);
    if (!fresh.empty()) {
        auto read = [&] {
            return read_counters(gate_.maps().counters,
                                 [&](const auto &key) { return fresh.contains(key.slot); });
        };
        const auto counters = co_await on_pool(pool_, read);
        if (!counters) {
            log_.error("counters could not be read", {{"error", counters.error().message}});
            co_return false;
        }
        for (const auto &[key, sum] : *counters)
            totals_.add({key.rule, key.direction, key.verdict, key.reason}, {sum.packets, sum.bytes},
                        rule(key.rule));
        for (const auto &row : rows)
            totals_.fold({row.slot, row.serial});
        ++epoch_;
    }
    const std::string path = totals_path(), text = totals_.text();
    auto work = [&] { return replace_file(path, text); };
    const auto saved = co_await on_pool(pool_, work);
    if (!saved)
        log_.error("totals could not be stored", {{"error", saved.error().message}});
    freeing_ = saved.has_value(); // until freed()
    co_return freeing_;
}

void Meter::freed(const std::vector<sync::Row> &rows) {
    for (const auto &row : rows)
        totals_.settled({row.slot, row.serial});
    freeing_ = false;
    ++epoch_;
}

} // namespace penstock::daemon
