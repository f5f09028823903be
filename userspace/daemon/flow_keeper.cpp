// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/flow_keeper.h"

#include "userspace/base/clock.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

std::string_view end_name(sync::FlowEnd end) {
    switch (end) {
    case sync::FlowEnd::closed:
        return "closed";
    case sync::FlowEnd::reset:
        return "reset";
    case sync::FlowEnd::idle:
        return "idle";
    case sync::FlowEnd::gone:
        return "gone";
    default:
        return "active";
    }
}

} // namespace

// On the pool. A name's text may have left the kernel before its flow ended: then there is none.
Result<FlowKeeper::Reading> FlowKeeper::read() {
    auto records = rows_.look(monotonic_ns());
    if (!records)
        return records.error();
    Reading reading{std::move(*records), {}};
    for (const auto &record : reading.records) {
        const auto &row = record.row;
        std::string name;
        if (row.name_hash >= abi::PS_NAME_FIRST_HASH)
            if (const auto domain = gate_.maps().domains.lookup({row.name_hash, row.slot, 0});
                domain && *domain)
                name = telemetry::domain_name(**domain);
        reading.names.push_back(std::move(name));
    }
    return reading;
}

// A container may be gone, and its slot freed, before the last record of its flows.
void FlowKeeper::note_owners() {
    const auto &containers = enforcer_.containers();
    for (const auto &[id, container] : containers)
        if (!owners_.contains(container.row.serial))
            owners_[container.row.serial] = {container.node.path, id};
    if (owners_.size() <= 2 * containers.size() + 1000)
        return;
    std::unordered_set<std::uint32_t> living; // the rest are of long ago
    for (const auto &[id, container] : containers)
        living.insert(container.row.serial);
    std::erase_if(owners_, [&](const auto &owner) { return !living.contains(owner.first); });
}

telemetry::Event FlowKeeper::event(const sync::FlowRecord &record, std::string name) const {
    const auto &row = record.row;
    telemetry::Event event;
    event.kind = telemetry::event_flow;
    // The last packet's time is of a coarse clock, a few ms behind the first's.
    event.time = record.end == sync::FlowEnd::active
                     ? std::chrono::system_clock::now()
                     : wall_time(wall_of_monotonic(std::max(row.last_ns, row.begun_ns)));
    if (const auto owner = owners_.find(row.key.serial); owner != owners_.end()) {
        event.container = owner->second.path;
        event.cgroup_id = owner->second.cgroup_id;
    }
    if (row.rule != 0) {
        const auto *rule = meter_.rule(row.rule);
        event.policy = rule ? rule->policy : "";
        event.rule = rule ? rule->rule : telemetry::hex_id(row.rule);
    }
    event.direction = row.direction;
    event.verdict = row.verdict;
    event.reason = row.reason;
    event.protocol = row.key.protocol;
    event.local = telemetry::address_text(row.key.local);
    event.remote = telemetry::address_text(row.key.remote);
    event.local_port = row.key.local_port;
    event.remote_port = row.key.remote_port;
    event.name = std::move(name);
    event.flow = telemetry::FlowSums{wall_time(wall_of_monotonic(row.begun_ns)),
                                     wall_time(wall_of_monotonic(record.from_ns)),
                                     record.packets(abi::PS_EGRESS),
                                     record.bytes(abi::PS_EGRESS),
                                     record.packets(abi::PS_INGRESS),
                                     record.bytes(abi::PS_INGRESS),
                                     end_name(record.end)};
    return event;
}

asio::awaitable<bool> FlowKeeper::look() {
    if (gate_.maps().gate.read().next_flow == 0)
        co_return false; // nobody ever wanted one
    note_owners();
    auto reading = co_await on_pool(pool_, [this] { return read(); });
    if (!reading) {
        log_.warning("the flow log could not be read", {{"error", reading.error().message}});
        co_return false;
    }
    for (std::size_t i = 0; i < reading->records.size(); ++i)
        events_.add(event(reading->records[i], std::move(reading->names[i])));
    co_return !reading->records.empty();
}

} // namespace penstock::daemon
