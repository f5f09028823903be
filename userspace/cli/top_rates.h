// SPDX-License-Identifier: Apache-2.0
// What containers do per second, from two readings of the daemon's answers. Pure: no terminal, no daemon, no clock.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace penstock::cli {

// What is shown of a container, and what it can be sorted by.
enum class Field { name, egress, ingress, packets, connections, queries, denials, limits, idle, quota };
inline constexpr std::size_t rates = 7; // egress to limits

struct Quota {
    std::string policy, rule, turns;
    std::uint64_t spent = 0, bytes = 0, granted = 0;
    std::uint64_t per_cent = 0; // of what may be spent, granted octets too
    bool is_spent = false;      // packets are denied for it, whatever the per cent
};

// One moment: the sums of /v1/counters by container, what /v1/containers and /v1/quotas say of them.
struct Reading {
    struct Container {
        std::string name, state;
        std::uint64_t sums[rates] = {};
        std::uint64_t all = 0; // of everything counted: it rises with any activity
        std::optional<std::uint64_t> idle_s;
        bool is_idle_longer = false; // nothing was seen yet: idle at least so long
        std::vector<Quota> quotas;
    };
    std::map<std::string, Container> containers; // by cgroup id
};

// `quotas` may be null: this daemon has none.
Reading reading_of(const boost::json::value &counters, const boost::json::value &containers,
                   const boost::json::value &quotas);

struct Row {
    std::string cgroup_id, name, state;
    double per_s[rates] = {};
    std::optional<std::uint64_t> idle_s;
    bool is_idle_longer = false;
    std::vector<Quota> quotas;      // the fullest first
    double rate(Field field) const; // egress to limits
};

// Of the containers that are in `now`, by name. One that is not in `before` was born since.
std::vector<Row> rows_between(const Reading &before, const Reading &now, double seconds);

// What a script gets: {"time", "interval_s", "containers": [...]}, in the order of the rows.
boost::json::object rates_json(const std::vector<Row> &, double seconds, const std::string &time);

} // namespace penstock::cli
