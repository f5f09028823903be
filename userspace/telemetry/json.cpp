// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/json.h"

#include "userspace/telemetry/names.h"

#include <boost/json.hpp>

namespace penstock::telemetry {
namespace json = boost::json;

json::object counters_json(const Snapshot &snapshot, std::optional<std::uint64_t> only_cgroup) {
    json::array rows;
    for (const auto &row : snapshot.counters) {
        if (only_cgroup && row.cgroup_id != *only_cgroup)
            continue;
        rows.push_back({{"container", utf8_text(row.container)},
                        {"cgroup_id", hex_id(row.cgroup_id)},
                        {"policy", row.policy},
                        {"rule", row.rule},
                        {"domain", utf8_text(row.domain)},
                        {"direction", direction_name(row.direction)},
                        {"verdict", verdict_name(row.verdict)},
                        {"reason", reason_name(row.reason)},
                        {"packets", row.packets},
                        {"bytes", row.bytes}});
    }
    return {{"time", time_text(snapshot.time)}, {"counters", std::move(rows)}};
}

json::object features_json(const Snapshot &snapshot, std::string_view kernel_release) {
    json::array rows;
    for (const auto &feature : snapshot.features)
        rows.push_back({{"name", feature.name},
                        {"active", feature.active},
                        {"detail", utf8_text(feature.detail)},
                        {"loses", feature.loses}});
    return {{"kernel", kernel_release}, {"features", std::move(rows)}};
}

json::array maps_json(const Snapshot &snapshot) {
    json::array rows;
    for (const auto &map : snapshot.maps)
        rows.push_back({{"map", map.map}, {"used", map.used}, {"capacity", map.capacity}});
    return rows;
}

static std::string flow_line(const Event &event, const FlowSums &flow) {
    const json::object line = {
        {"time", time_text(event.time)},
        {"kind", event_kind_name(event.kind)},
        {"end", flow.end},
        {"container", utf8_text(event.container)},
        {"cgroup_id", hex_id(event.cgroup_id)},
        {"policy", event.policy},
        {"rule", event.rule},
        {"direction", direction_name(event.direction)},
        {"verdict", verdict_name(event.verdict)},
        {"reason", reason_name(event.reason)},
        {"protocol", protocol_name(event.protocol)},
        {"local", event.local},
        {"local_port", event.local_port},
        {"remote", event.remote},
        {"remote_port", event.remote_port},
        {"name", utf8_text(event.name)},
        {"begun", time_text(flow.begun)},
        {"from", time_text(flow.from)},
        {"egress_packets", flow.egress_packets},
        {"egress_bytes", flow.egress_bytes},
        {"ingress_packets", flow.ingress_packets},
        {"ingress_bytes", flow.ingress_bytes},
    };
    return json::serialize(line) + "\n";
}

std::string event_line(const Event &event) {
    if (event.flow)
        return flow_line(event, *event.flow);
    const json::object line = {
        {"time", time_text(event.time)},
        {"kind", event_kind_name(event.kind)},
        {"container", utf8_text(event.container)},
        {"cgroup_id", hex_id(event.cgroup_id)},
        {"policy", event.policy},
        {"rule", event.rule},
        {"hook", hook_name(event.hook)},
        {"direction", direction_name(event.direction)},
        {"verdict", verdict_name(event.verdict)},
        {"reason", reason_name(event.reason)},
        {"protocol", protocol_name(event.protocol)},
        {"local", event.local},
        {"local_port", event.local_port},
        {"remote", event.remote},
        {"remote_port", event.remote_port},
        {"name", utf8_text(event.name)},
        {"query_type", query_type_name(event.query_type)},
        {"length", event.length},
        {"pid", event.pid},
        {"comm", utf8_text(event.comm)},
    };
    return json::serialize(line) + "\n";
}

} // namespace penstock::telemetry
