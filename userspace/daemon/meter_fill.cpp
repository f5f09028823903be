// SPDX-License-Identifier: Apache-2.0
// How full the maps are.
#include "userspace/daemon/meter.h"

#include <algorithm>
#include <set>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace {

constexpr auto fill_age = std::chrono::seconds(10); // counting entries walks maps: not for each question

template <typename AnyMap> telemetry::MapFill fill_of(const AnyMap &map) {
    std::uint64_t used = 0;
    (void)map.for_each(
        [&](const auto &, const auto &) { ++used; }); // a walk that breaks off shows what it saw
    return {map.name(), used, map.max_entries()};
}
telemetry::MapFill fill_of(const kernel::CounterMap &counters) {
    const auto used = counters.size();
    return {counters.name(), used ? *used : 0, counters.max_entries()};
}

} // namespace

// Hash maps are counted in the kernel.
asio::awaitable<std::vector<telemetry::MapFill>> Meter::fills() {
    const auto now = std::chrono::steady_clock::now();
    if (fills_.empty() || now - filled_ > fill_age) {
        filled_ = now;
        const auto fills = co_await on_pool(readers_, [this] {
            const auto &maps = gate_.maps();
            return std::vector<telemetry::MapFill>{fill_of(maps.containers), fill_of(maps.counters),
                                                   fill_of(maps.domains),    fill_of(maps.learned),
                                                   fill_of(maps.queries),    fill_of(maps.udp_peers),
                                                   fill_of(maps.flow_ids),   fill_of(maps.budget_ids)};
        });
        fills_ = fills;
        for (const auto &fill : fills)
            if (fill.map == "learned")
                learned_addresses_ = fill.used;
    }
    co_return fills_;
}

// Of the tries we know what we wrote.
asio::awaitable<void> Meter::count_maps(telemetry::Snapshot &snapshot) {
    snapshot.maps = co_await fills();
    snapshot.learned_addresses = learned_addresses_;
    const auto &maps = gate_.maps();
    std::uint64_t names = 0, cidrs4 = 0, cidrs6 = 0, ports = 0;
    std::set<std::uint16_t> ids;
    std::set<std::uint64_t> rule_sets;
    enforcer_.for_each_image([&](const sync::PolicyHandle &handle, const policy::Image &image) {
        if (!ids.insert(handle.id).second)
            return;
        names += image.names.size();
        for (const auto &entry : image.cidrs)
            ++(entry.cidr.address.is_v4() && entry.cidr.length >= 96 ? cidrs4 : cidrs6);
        for (const auto &[id, entries] : image.rule_sets)
            if (rule_sets.insert(id).second)
                ports += entries.size();
    });
    snapshot.images = ids.size();
    snapshot.maps.push_back({maps.cidrs4.name(), cidrs4, maps.cidrs4.max_entries()});
    snapshot.maps.push_back({maps.cidrs6.name(), cidrs6, maps.cidrs6.max_entries()});
    snapshot.maps.push_back({maps.names.name(), names, maps.names.max_entries()});
    snapshot.maps.push_back({maps.ports.name(), ports, maps.ports.max_entries()});
    std::sort(snapshot.maps.begin(), snapshot.maps.end(),
              [](const auto &a, const auto &b) { return a.map < b.map; });
}

} // namespace penstock::daemon
