// SPDX-License-Identifier: Apache-2.0
// See top_rates.h.
#include "userspace/cli/top_rates.h"

#include "bpf/abi.h"
#include "userspace/cli/output.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace penstock::cli {
namespace json = boost::json;
namespace {

constexpr std::array rate_names{"egress_bytes_per_s", "ingress_bytes_per_s", "packets_per_s",
                                "connections_per_s",  "queries_per_s",       "denials_per_s",
                                "limit_hits_per_s"};
static_assert(rate_names.size() == rates);

bool is_limit(std::string_view reason) {
    static const std::set<std::string_view> all = [] {
        std::set<std::string_view> names;
#define X(name, text)                                                                                        \
    if (abi::is_limit(abi::PS_R_##name))                                                                     \
        names.insert(text);
        PS_REASON_NAMES(X)
#undef X
        return names;
    }();
    return all.contains(reason);
}

constexpr std::size_t index_of(Field field) {
    return static_cast<std::size_t>(field) - static_cast<std::size_t>(Field::egress);
}

// A row of /v1/counters. Traffic over lo is nobody's egress; `untold` counts denials a second time, and marks of quotas.
void add(Reading::Container &container, const json::value &row) {
    const std::string verdict = text_at(row, "verdict"), reason = text_at(row, "reason");
    const std::uint64_t packets = number_at(row, "packets"), bytes = number_at(row, "bytes");
    const auto sum = [&](Field field) -> std::uint64_t & { return container.sums[index_of(field)]; };
    const bool would = verdict == "would-deny";
    container.all += packets;
    if (verdict == "none" && reason == "connection")
        sum(Field::connections) += packets;
    if ((verdict == "allow" || would) && reason != "loopback") {
        sum(text_at(row, "direction") == "ingress" ? Field::ingress : Field::egress) += bytes;
        sum(Field::packets) += packets;
    }
    if (verdict == "allow" && (reason == "dns-query" || reason == "reverse-query"))
        sum(Field::queries) += packets;
    if (verdict != "deny" && !would)
        return;
    sum(Field::denials) += packets;
    if (is_limit(reason))
        sum(Field::limits) += packets;
}

json::value quota_json(const Quota &quota) {
    return {{"policy", quota.policy},
            {"rule", quota.rule},
            {"quota_bytes", quota.bytes},
            {"granted_bytes", quota.granted},
            {"spent_bytes", quota.spent},
            {"per_cent", quota.per_cent},
            {"is_spent", quota.is_spent},
            {"turns", quota.turns.empty() ? json::value(nullptr) : json::value(quota.turns)}};
}

double thousandths(double value) {
    return std::round(value * 1000) / 1000;
}

} // namespace

double Row::rate(Field field) const {
    return per_s[index_of(field)];
}

Reading reading_of(const json::value &counters, const json::value &containers, const json::value &quotas) {
    Reading reading;
    for (const json::value &each : list_at(containers, "containers")) {
        const std::string id = text_at(each, "cgroup_id");
        auto &container = reading.containers[id];
        container.name = text_at(each, "cgroup");
        container.state = text_at(each, "state");
        if (!value_at(each, "idle_s").is_null())
            container.idle_s = number_at(each, "idle_s");
        container.is_idle_longer = container.idle_s && value_at(each, "last_activity").is_null();
    }
    for (const json::value &row : list_at(counters, "counters"))
        if (const auto found = reading.containers.find(text_at(row, "cgroup_id"));
            found != reading.containers.end())
            add(found->second, row);
    for (const json::value &each : list_at(quotas, "quotas"))
        if (const auto found = reading.containers.find(text_at(each, "cgroup_id"));
            found != reading.containers.end())
            found->second.quotas.push_back({text_at(each, "policy"), text_at(each, "rule"),
                                            text_at(each, "turns"), number_at(each, "spent_bytes"),
                                            number_at(each, "quota_bytes"), number_at(each, "granted_bytes"),
                                            number_at(each, "per_cent"), flag_at(each, "is_spent")});
    return reading;
}

std::vector<Row> rows_between(const Reading &before, const Reading &now, double seconds) {
    static const Reading::Container newborn{};
    std::vector<Row> rows;
    for (const auto &[id, container] : now.containers) {
        const auto found = before.containers.find(id);
        const auto &old = found == before.containers.end() ? newborn : found->second;
        Row row;
        row.cgroup_id = id;
        row.name = container.name;
        row.state = container.state;
        for (std::size_t i = 0; i < rates; ++i)
            if (container.sums[i] > old.sums[i] && seconds > 0)
                row.per_s[i] = static_cast<double>(container.sums[i] - old.sums[i]) / seconds;
        const bool acted = container.all > old.all;
        row.idle_s = acted ? 0 : container.idle_s;
        row.is_idle_longer = !acted && container.is_idle_longer;
        row.quotas = container.quotas;
        std::stable_sort(row.quotas.begin(), row.quotas.end(), [](const Quota &a, const Quota &b) {
            return std::pair(a.is_spent, a.per_cent) > std::pair(b.is_spent, b.per_cent);
        });
        rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) {
        return std::tie(a.name, a.cgroup_id) < std::tie(b.name, b.cgroup_id);
    });
    return rows;
}

json::object rates_json(const std::vector<Row> &rows, double seconds, const std::string &time) {
    json::array containers;
    for (const Row &row : rows) {
        json::object object{{"container", row.name}, {"cgroup_id", row.cgroup_id}, {"state", row.state}};
        for (std::size_t i = 0; i < rates; ++i)
            object[rate_names[i]] = thousandths(row.per_s[i]);
        object["idle_s"] = row.idle_s ? json::value(*row.idle_s) : json::value(nullptr);
        object["idle_longer"] = row.is_idle_longer;
        json::array quotas;
        for (const Quota &quota : row.quotas)
            quotas.push_back(quota_json(quota));
        object["quotas"] = std::move(quotas);
        containers.push_back(std::move(object));
    }
    return {{"time", time}, {"interval_s", thousandths(seconds)}, {"containers", std::move(containers)}};
}

} // namespace penstock::cli
