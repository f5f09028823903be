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

namespace {

// Whose it is, and by which rule.
void add_owner(json::object &line, const Event &event) {
    line["container"] = utf8_text(event.container);
    line["cgroup_id"] = hex_id(event.cgroup_id);
    line["policy"] = event.policy;
    line["rule"] = event.rule;
}

// What was judged, and how.
void add_judged(json::object &line, const Event &event) {
    line["direction"] = direction_name(event.direction);
    line["verdict"] = verdict_name(event.verdict);
    line["reason"] = reason_name(event.reason);
    line["protocol"] = protocol_name(event.protocol);
    line["local"] = event.local;
    line["local_port"] = event.local_port;
    line["remote"] = event.remote;
    line["remote_port"] = event.remote_port;
    line["name"] = utf8_text(event.name);
}

void add_carried(json::object &line, const FlowSums &flow) {
    line["begun"] = time_text(flow.begun);
    line["from"] = time_text(flow.from);
    line["egress_packets"] = flow.egress_packets;
    line["egress_bytes"] = flow.egress_bytes;
    line["ingress_packets"] = flow.ingress_packets;
    line["ingress_bytes"] = flow.ingress_bytes;
}

} // namespace

std::string event_line(const Event &event) {
    json::object line = {{"time", time_text(event.time)}, {"kind", event_kind_name(event.kind)}};
    if (event.flow) {
        line["end"] = event.flow->end;
        add_owner(line, event);
        add_judged(line, event);
        add_carried(line, *event.flow);
        return json::serialize(line) + "\n";
    }
    add_owner(line, event);
    line["generation"] = event.generation;
    line["hook"] = hook_name(event.hook);
    add_judged(line, event);
    line["query_type"] = query_type_name(event.query_type);
    line["length"] = event.length;
    line["pid"] = event.pid;
    line["comm"] = utf8_text(event.comm);
    return json::serialize(line) + "\n";
}

} // namespace penstock::telemetry
