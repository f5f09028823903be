// SPDX-License-Identifier: Apache-2.0
// What the kernel learned: addresses, and the names behind counters.
#include "userspace/daemon/meter.h"

#include "userspace/base/clock.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;

std::string Meter::domain_of(const abi::ps_counter_key &key) const {
    if (key.name_hash == 0)
        return {};
    const auto found = domains_.find({key.slot, key.name_hash});
    return found == domains_.end() ? telemetry::other_domains : found->second;
}

asio::awaitable<Result<std::vector<LearnedAddress>>> Meter::learned() {
    co_return co_await on_pool(readers_, [this]() -> Result<std::vector<LearnedAddress>> {
        const auto &maps = gate_.maps();
        struct Entry {
            abi::ps_address_key key;
            abi::ps_learned value;
        };
        std::vector<Entry> entries;
        auto read = maps.learned.for_each([&](const abi::ps_address_key &key, const abi::ps_learned &value) {
            entries.push_back({key, value});
        });
        if (!read)
            return read.error();
        const auto now = monotonic_ns();
        std::vector<LearnedAddress> all;
        for (const auto &[key, value] : entries) {
            LearnedAddress address;
            address.slot = key.slot;
            std::copy(std::begin(key.address), std::end(key.address), address.address.octets.begin());
            address.is_private = value.is_private != 0;
            for (const auto &name : value.names) {
                if (name.name_hash == 0)
                    continue;
                const auto domain = maps.domains.lookup({name.name_hash, key.slot, 0});
                if (!domain || !*domain) // made room for another meanwhile
                    continue;
                address.names.push_back({telemetry::domain_name(**domain), wall_of_monotonic(name.expires_ns),
                                         name.expires_ns <= now});
            }
            all.push_back(std::move(address));
        }
        return all;
    });
}

} // namespace penstock::daemon
