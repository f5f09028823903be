// SPDX-License-Identifier: Apache-2.0
// The endpoints about one container or all: its state, its totals, what it has learned.
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_router.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
using telemetry::hex_id;
using telemetry::time_text;
using telemetry::utf8_text;

asio::awaitable<ApiAnswer> ApiRouter::container(const Container &found) {
    auto object = container_json(found);
    const auto id = found.node.id;
    const auto slot = found.row.slot;
    json::array resolvers;
    if (found.image && found.image->settings.resolvers_any)
        resolvers.push_back("any");
    else if (found.image)
        for (const auto &resolver : found.image->resolvers)
            resolvers.push_back(json::string(resolver.text()));

    const auto now = co_await snapshot(); // `found` may be gone after this
    const auto learned = co_await context_.meter.learned();
    if (!now || !learned)
        co_return error_answer(500, now ? learned.error().message : now.error().message);
    telemetry::CounterRow sums[2][4] = {};
    for (const auto &row : now->counters)
        if (row.cgroup_id == id && row.direction < 2 && row.verdict < 4) {
            sums[row.direction][row.verdict].packets += row.packets;
            sums[row.direction][row.verdict].bytes += row.bytes;
        }
    json::object totals;
    for (std::uint8_t direction = 0; direction < 2; ++direction) {
        json::object verdicts;
        for (const std::uint8_t verdict : {abi::PS_ALLOW, abi::PS_DENY, abi::PS_WOULD_DENY}) {
            const auto &sum = sums[direction][verdict];
            verdicts[telemetry::verdict_name(verdict)] =
                json::object{{"packets", sum.packets}, {"bytes", sum.bytes}};
        }
        totals[telemetry::direction_name(direction)] = std::move(verdicts);
    }
    object["totals"] = std::move(totals);
    object["learned"] =
        std::count_if(learned->begin(), learned->end(), [&](const auto &a) { return a.slot == slot; });
    object["resolvers"] = std::move(resolvers);
    co_return json_answer(object);
}

asio::awaitable<ApiAnswer> ApiRouter::learned(const ApiRequest &request) {
    std::optional<std::uint32_t> only;
    if (const auto wanted = request.query.find("container"); wanted != request.query.end()) {
        const auto found = find_container(context_.enforcer, wanted->second);
        if (const auto *fault = std::get_if<ApiAnswer>(&found))
            co_return *fault;
        only = std::get<const Container *>(found)->row.slot;
    }
    const auto addresses = co_await context_.meter.learned();
    if (!addresses)
        co_return error_answer(500, addresses.error().message);
    std::vector<std::pair<const Container *, const LearnedAddress *>> rows;
    for (const auto &address : *addresses)
        if (const auto *owner = context_.enforcer.at_slot(address.slot);
            owner && (!only || *only == address.slot))
            rows.emplace_back(owner, &address);
    std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
        return std::tie(a.first->node.path, a.second->slot, a.second->address) <
               std::tie(b.first->node.path, b.second->slot, b.second->address);
    });
    json::array all;
    for (const auto &[owner, address] : rows) {
        json::array names;
        for (const auto &name : address->names) {
            const std::chrono::system_clock::time_point expires(
                std::chrono::duration_cast<std::chrono::system_clock::duration>(
                    std::chrono::nanoseconds(name.expires_wall_ns)));
            names.push_back(
                {{"name", utf8_text(name.name)}, {"expires", time_text(expires)}, {"expired", name.expired}});
        }
        all.push_back({{"container", utf8_text(owner->node.path)},
                       {"cgroup_id", hex_id(owner->node.id)},
                       {"address", address->address.text()},
                       {"private", address->is_private},
                       {"names", std::move(names)}});
    }
    co_return json_answer({{"learned", std::move(all)}});
}

} // namespace penstock::daemon
