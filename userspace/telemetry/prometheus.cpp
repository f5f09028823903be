// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/prometheus.h"

#include "userspace/telemetry/names.h"

#include <cstdio>
#include <initializer_list>
#include <map>
#include <tuple>
#include <utility>

namespace penstock::telemetry {
namespace {

class Page {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) +
                 "\n";
    }

    using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

    void sample(Labels labels, const std::string &value) {
        text_ += name_;
        char separator = '{';
        for (const auto &[label, content] : labels) {
            text_ += separator;
            text_ += label;
            text_ += "=\"" + escape_label(content) + "\"";
            separator = ',';
        }
        text_ += (labels.size() ? "} " : " ") + value + "\n";
    }
    void sample(Labels labels, std::uint64_t value) { sample(labels, std::to_string(value)); }

    void single(std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
        family(name, type, help);
        sample({}, value);
    }

    std::string take() { return std::move(text_); }

  private:
    std::string name_, text_;
};

// The labels leave the cgroup id out: a page must not hold one series twice, so two tenants of a path add up.
using Series =
    std::map<std::tuple<std::string, std::string, std::string, std::uint8_t, std::uint8_t, std::uint8_t>,
             std::pair<std::uint64_t, std::uint64_t>>;

void traffic(Page &page, const Snapshot &snapshot) {
    Series series;
    for (const auto &row : snapshot.counters) {
        auto &sum = series[{row.container, row.policy, row.rule, row.direction, row.verdict, row.reason}];
        sum.first += row.packets;
        sum.second += row.bytes;
    }
    const auto print = [&](auto value_of) {
        for (const auto &[labels, sum] : series) {
            const auto &[container, policy, rule, direction, verdict, reason] = labels;
            page.sample({{"container", container},
                         {"policy", policy},
                         {"rule", rule},
                         {"direction", direction_name(direction)},
                         {"verdict", verdict_name(verdict)},
                         {"reason", reason_name(reason)}},
                        value_of(sum));
        }
    };
    page.family("penstock_packets_total", "counter",
                "Packets judged; with verdict none, how often the thing named by reason was noticed.");
    print([](const auto &sum) { return sum.first; });
    page.family("penstock_bytes_total", "counter",
                "IP octets of those packets, every segment's headers counted; with verdict none, of packets "
                "that also "
                "stand under the verdict that let them pass.");
    print([](const auto &sum) { return sum.second; });
}

std::string seconds_text(std::chrono::system_clock::time_point time) {
    const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
    char seconds[40];
    std::snprintf(seconds, sizeof seconds, "%lld.%03d", static_cast<long long>(milliseconds / 1000),
                  static_cast<int>(milliseconds % 1000));
    return seconds;
}

// No policy and rule: the container's own.
void quotas(Page &page, std::vector<QuotaRow> rows) {
    const std::uint64_t left_out = keep_fullest(rows, most_quotas);
    const auto sample = [&](const QuotaRow &row, const std::string &value) {
        page.sample({{"container", row.container}, {"policy", row.policy}, {"rule", row.rule}}, value);
    };
    page.family("penstock_quota_bytes", "gauge",
                "Octets that may be spent in the present window: the quota and what was granted.");
    for (const auto &row : rows)
        sample(row, std::to_string(row.bytes));
    page.family("penstock_quota_spent_bytes", "gauge", "Octets spent of that in the present window.");
    for (const auto &row : rows)
        sample(row, std::to_string(row.spent));
    page.family("penstock_quota_turns_timestamp_seconds", "gauge",
                "When the present window turns, Unix time; nothing before it has begun.");
    for (const auto &row : rows)
        if (row.turns)
            sample(row, seconds_text(*row.turns));
    page.family("penstock_quota_is_spent", "gauge",
                "1 if packets are denied for it, or would be in audit mode, until the window turns. The last "
                "octets need not be spent: a packet that does not fit is enough.");
    for (const auto &row : rows)
        page.sample({{"container", row.container},
                     {"policy", row.policy},
                     {"rule", row.rule},
                     {"mode", mode_name(row.mode)}},
                    std::uint64_t{row.is_spent});
    page.single("penstock_quotas_left_out", "gauge",
                "Quotas that are not on this page: it has the " + std::to_string(most_quotas) +
                    " that are spent or fullest.",
                left_out);
}

void state(Page &page, const Snapshot &snapshot) {
    page.single("penstock_containers", "gauge", "Containers that live.", snapshot.containers);
    page.single("penstock_containers_dying", "gauge", "Removed containers whose sockets live on.",
                snapshot.dying);
    page.single("penstock_policies", "gauge", "Policy documents in force.", snapshot.policies);
    page.single("penstock_generation", "gauge", "Last policy generation given out.", snapshot.generation);
    page.single("penstock_learned_addresses", "gauge", "Addresses learned from DNS answers.",
                snapshot.learned_addresses);
    page.single("penstock_ready", "gauge", "1 while /readyz says so: attached, and every container bound.",
                snapshot.ready);
    page.single("penstock_reload_ok", "gauge", "1 if the last reload or apply was accepted.",
                snapshot.reload_ok);
    page.family("penstock_reload_time_seconds", "gauge", "When the last reload or apply ended, Unix time.");
    page.sample({}, seconds_text(snapshot.reload_time));
}

// Sums of the rows that `wanted` picks, by what `labels_of` makes of them; one series each.
template <typename Wanted, typename LabelsOf>
auto summed(const Snapshot &snapshot, Wanted wanted, LabelsOf labels_of) {
    std::map<decltype(labels_of(snapshot.counters.front())), std::uint64_t> series;
    for (const auto &row : snapshot.counters)
        if (wanted(row))
            series[labels_of(row)] += row.packets;
    return series;
}

// Also in penstock_packets_total; by names of their own, as nobody guesses that a query is a packet with a reason. No label
// is unbounded: a policy's rules are counted, learned names are not.
void work(Page &page, const Snapshot &snapshot) {
    const auto by_rule = [&](std::string_view name, std::string_view help, auto wanted) {
        page.family(name, "counter", help);
        const auto rule_of = [](const CounterRow &row) {
            return std::tuple(row.container, row.policy, row.rule);
        };
        for (const auto &[labels, sum] : summed(snapshot, wanted, rule_of)) {
            const auto &[container, policy, rule] = labels;
            page.sample({{"container", container}, {"policy", policy}, {"rule", rule}}, sum);
        }
    };
    by_rule("penstock_connections_total", "Connections and UDP conversations begun.",
            [](const CounterRow &row) {
                return row.verdict == abi::PS_NONE && row.reason == abi::PS_R_CONNECTION;
            });
    by_rule("penstock_dns_queries_total", "DNS queries that were let pass.", [](const CounterRow &row) {
        return row.verdict == abi::PS_ALLOW &&
               (row.reason == abi::PS_R_DNS_QUERY || row.reason == abi::PS_R_REVERSE_QUERY);
    });
    page.family("penstock_limit_hits_total", "counter",
                "Packets, connections and queries that a limit denied, or would have denied in audit mode.");
    const auto limit_of = [](const CounterRow &row) {
        return std::tuple(row.container, row.policy, row.rule, row.reason);
    };
    const auto is_hit = [](const CounterRow &row) {
        return (row.verdict == abi::PS_DENY || row.verdict == abi::PS_WOULD_DENY) &&
               abi::is_limit(row.reason);
    };
    for (const auto &[labels, sum] : summed(snapshot, is_hit, limit_of)) {
        const auto &[container, policy, rule, reason] = labels;
        page.sample(
            {{"container", container}, {"policy", policy}, {"rule", rule}, {"limit", reason_name(reason)}},
            sum);
    }
    page.family(
        "penstock_events_untold_total", "counter",
        "Denials and marks of quotas without an event: the container's budget of events was spent, or the "
        "ring was full.");
    const auto is_untold = [](const CounterRow &row) { return row.verdict == abi::PS_UNTOLD; };
    for (const auto &[container, sum] :
         summed(snapshot, is_untold, [](const auto &row) { return row.container; }))
        page.sample({{"container", container}}, sum);
}

void machinery(Page &page, const Snapshot &snapshot) {
    page.family("penstock_kernel_lost_total", "counter",
                "What the kernel side had no room for: events, counters, slots at birth, scratch memory.");
    page.sample({{"kind", "births"}}, snapshot.births_lost);
    page.sample({{"kind", "counters"}}, snapshot.counters_lost);
    page.sample({{"kind", "events"}}, snapshot.events_lost);
    page.sample({{"kind", "scratch"}}, snapshot.scratch_lost);
    page.single("penstock_events_lost_total", "counter", "Events lost because the kernel's ring was full.",
                snapshot.events_lost);
    page.single("penstock_events_dropped_total", "counter",
                "Events that slow readers of the API did not get.", snapshot.events_dropped);
    page.family("penstock_map_entries", "gauge", "Entries used, as of the last count.");
    for (const auto &map : snapshot.maps)
        page.sample({{"map", map.map}}, map.used);
    page.family("penstock_map_capacity", "gauge", "Entries there is room for.");
    for (const auto &map : snapshot.maps)
        page.sample({{"map", map.map}}, map.capacity);
    page.family("penstock_feature_active", "gauge",
                "1 if the kernel feature is loaded, attached and working.");
    for (const auto &feature : snapshot.features)
        page.sample({{"feature", feature.name}}, feature.active);
    page.family("penstock_build_info", "gauge", "Constant 1; version and ABI as labels.");
    page.sample({{"abi", std::to_string(snapshot.abi_version)}, {"version", PENSTOCK_VERSION}},
                std::uint64_t{1});
}

} // namespace

std::string escape_label(std::string_view value) {
    std::string escaped;
    for (const char c : utf8_text(value)) {
        if (c == '\\')
            escaped += "\\\\";
        else if (c == '"')
            escaped += "\\\"";
        else if (c == '\n')
            escaped += "\\n";
        else
            escaped += c;
    }
    return escaped;
}

std::string prometheus_text(const Snapshot &snapshot, std::vector<QuotaRow> quota_rows) {
    Page page;
    traffic(page, snapshot);
    quotas(page, std::move(quota_rows));
    state(page, snapshot);
    machinery(page, snapshot);
    work(page, snapshot);
    return page.take();
}

} // namespace penstock::telemetry
