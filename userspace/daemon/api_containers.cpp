// SPDX-License-Identifier: Apache-2.0
// The endpoints about one container or all: its state, its totals, what it has learned.
#include "userspace/base/clock.h"
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_router.h"
#include "userspace/telemetry/json.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
using telemetry::hex_id;
using telemetry::time_text;
using telemetry::utf8_text;

namespace {

using Owners = std::unordered_map<std::uint32_t, container::CgroupNode>; // by slot

json::array names_json(const std::vector<LearnedName> &names) {
    json::array all;
    for (const auto &name : names) {
        all.push_back({{"name", utf8_text(name.name)},
                       {"expires", time_text(wall_time(name.expires_wall_ns))},
                       {"expired", name.expired}});
    }
    return all;
}

ApiAnswer learned_answer(const std::vector<LearnedAddress> &addresses, const Owners &owners) {
    std::vector<std::pair<const container::CgroupNode *, const LearnedAddress *>> rows;
    for (const auto &address : addresses)
        if (const auto owner = owners.find(address.slot); owner != owners.end())
            rows.emplace_back(&owner->second, &address);
    std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) {
        return std::tie(a.first->path, a.second->slot, a.second->address) <
               std::tie(b.first->path, b.second->slot, b.second->address);
    });
    json::array all;
    for (const auto &[owner, address] : rows)
        all.push_back({{"container", utf8_text(owner->path)},
                       {"cgroup_id", hex_id(owner->id)},
                       {"address", address->address.text()},
                       {"private", address->is_private},
                       {"names", names_json(address->names)}});
    return json_answer({{"learned", std::move(all)}});
}

std::vector<const Container *> sorted_containers(const Enforcer &enforcer) {
    std::vector<const Container *> all;
    for (const auto &[id, container] : enforcer.containers())
        all.push_back(&container);
    std::sort(all.begin(), all.end(), [](const auto *a, const auto *b) {
        return std::tie(a->node.path, a->node.id) < std::tie(b->node.path, b->node.id);
    });
    return all;
}

} // namespace

asio::awaitable<ApiAnswer> ApiRouter::containers() {
    co_await context_.meter.look_for_activity(Meter::Due::asked);
    const auto quotas = co_await begun_quotas();
    auto group = [&] { return spent_quotas_json(*quotas); };
    auto spent = co_await on_pool(context_.readers, group);
    json::array all;
    for (const auto *entry : sorted_containers(context_.enforcer)) {
        all.push_back(container_json(*entry, context_.meter));
        if (const auto found = spent.find(entry->node.id); found != spent.end())
            all.back().as_object()["spent_quotas"] = std::move(found->second);
    }
    const json::value answer = {{"containers", std::move(all)}};
    auto write = [&] { return json_answer(answer); };
    co_return co_await on_pool(context_.readers, write);
}

asio::awaitable<ApiAnswer> ApiRouter::container(const Container &known) {
    const Container found = known; // it may be gone after any wait
    co_await context_.meter.look_for_activity(Meter::Due::asked);
    auto object = container_json(found, context_.meter);
    const auto id = found.node.id;
    const auto slot = found.row.slot;
    json::array resolvers;
    if (found.image && found.image->settings.resolvers_any)
        resolvers.push_back("any");
    else if (found.image)
        for (const auto &resolver : found.image->resolvers)
            resolvers.push_back(json::string(resolver.text()));

    const auto quotas = co_await context_.quotas.list(id);
    object["spent_quotas"] = spent_quotas_json(quotas)[id];
    const auto shared_now = co_await snapshot();
    const auto shared_learned = co_await all_learned();
    const auto &now = *shared_now;
    const auto &learned = *shared_learned;
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

asio::awaitable<ApiAnswer> ApiRouter::counters(const ApiRequest &request) {
    std::optional<std::uint64_t> only;
    if (const auto wanted = request.query.find("container"); wanted != request.query.end()) {
        const auto found = find_container(context_.enforcer, wanted->second);
        if (const auto *fault = std::get_if<ApiAnswer>(&found))
            co_return *fault;
        only = std::get<const Container *>(found)->node.id;
    }
    const auto shared = co_await snapshot();
    const auto &now = *shared;
    if (!now)
        co_return error_answer(500, now.error().message);
    auto write = [&] { return json_answer(telemetry::counters_json(*now, only)); };
    co_return co_await on_pool(context_.readers, write);
}

asio::awaitable<std::shared_ptr<const Result<std::vector<LearnedAddress>>>> ApiRouter::all_learned() {
    auto read = [this] { return context_.meter.learned(); };
    co_return co_await learned_.get(read);
}

asio::awaitable<ApiAnswer> ApiRouter::learned(const ApiRequest &request) {
    std::optional<std::uint32_t> only;
    if (const auto wanted = request.query.find("container"); wanted != request.query.end()) {
        const auto found = find_container(context_.enforcer, wanted->second);
        if (const auto *fault = std::get_if<ApiAnswer>(&found))
            co_return *fault;
        only = std::get<const Container *>(found)->row.slot;
    }
    const auto addresses = co_await all_learned();
    if (!*addresses)
        co_return error_answer(500, addresses->error().message);
    Owners owners;
    for (const auto &[id, container] : context_.enforcer.containers())
        if (!only || *only == container.row.slot)
            owners[container.row.slot] = container.node;
    auto write = [&] { return learned_answer(**addresses, owners); };
    co_return co_await on_pool(context_.readers, write);
}

} // namespace penstock::daemon
