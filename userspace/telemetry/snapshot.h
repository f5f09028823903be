// SPDX-License-Identifier: Apache-2.0
// What the daemon knows at one moment, with names, as one value: every sink prints this and nothing else.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace penstock::telemetry {

struct CounterRow {
    std::string container; // cgroup path; empty: containers that are gone, added up
    std::uint64_t cgroup_id = 0;
    std::string policy, rule; // empty where no rule decided
    std::string domain;       // the learned name that allowed it; other_domains; empty: none
    std::uint8_t direction = 0, verdict = 0, reason = 0;
    std::uint64_t packets = 0, bytes = 0;
};

// Stands for all names of a container for which it had no counters left.
inline constexpr const char *other_domains = "(other)";

struct MapFill {
    std::string map;
    std::uint64_t used = 0, capacity = 0;
};

struct FeatureState {
    std::string name;
    bool active = false;
    std::string detail, loses;
};

struct QuotaRow {
    std::string container, policy, rule; // no policy and rule: the container's own
    std::uint64_t bytes = 0, spent = 0;  // with what was granted
    std::optional<std::chrono::system_clock::time_point> turns;
    bool is_spent = false; // packets are denied for it, or would be in audit mode
    std::uint8_t mode = 0; // PS_MODE_*
};

struct Snapshot {
    std::chrono::system_clock::time_point time;
    std::vector<CounterRow> counters; // by container, policy, rule, domain, direction, verdict, reason
    std::uint64_t containers = 0, dying = 0, policies = 0, images = 0, generation = 0;
    std::uint64_t learned_addresses = 0;
    bool ready = false, reload_ok = true;
    std::chrono::system_clock::time_point reload_time;
    std::uint64_t events_lost = 0, counters_lost = 0, births_lost = 0, scratch_lost = 0; // by the kernel
    std::uint64_t events_dropped = 0; // at slow readers of the API
    std::vector<MapFill> maps;
    std::vector<FeatureState> features;
    std::uint32_t abi_version = 0;
};

// Keeps those that are spent, and then those of which the least is left, in the order they are in. How many went.
std::size_t keep_fullest(std::vector<QuotaRow> &, std::size_t most);

// Puts rows in their order and adds up those with equal labels.
void sort_and_merge(std::vector<CounterRow> &);

} // namespace penstock::telemetry
