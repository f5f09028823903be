// SPDX-License-Identifier: Apache-2.0
#include "policy/limit_text.h"

namespace penstock::policy {
namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;

struct Unit {
    const char *name;
    std::uint64_t factor;
};
// The largest first; of units that fit alike the binary ones.
constexpr Unit size_units[] = {{"TiB", 1ull << 40},
                               {"TB", 1000'000'000'000},
                               {"GiB", 1ull << 30},
                               {"GB", 1000'000'000},
                               {"MiB", 1ull << 20},
                               {"MB", 1000'000},
                               {"KiB", 1ull << 10},
                               {"KB", 1000},
                               {"B", 1}};
constexpr Unit time_units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};

template <std::size_t N> std::string in_units(std::uint64_t value, const Unit (&units)[N]) {
    for (const Unit &unit : units)
        if (value % unit.factor == 0)
            return std::to_string(value / unit.factor) + unit.name;
    return {};
}

// "s", "24h": one of a unit goes without its number, but for a day.
std::string time_text(std::uint64_t seconds) {
    const std::string text = seconds == 86400 ? "24h" : in_units(seconds, time_units);
    return text.starts_with('1') && text.size() > 1 && (text[1] < '0' || text[1] > '9') ? text.substr(1)
                                                                                        : text;
}

std::string amount_text(std::uint64_t amount, Quantity quantity) {
    return quantity == Quantity::octets ? in_units(amount, size_units) : std::to_string(amount);
}

std::string directions_text(const Quota &quota) {
    if (quota.directions == Quota::both)
        return {};
    return quota.directions == Quota::egress ? " egress" : " ingress";
}

} // namespace

std::string rate_text(const Rate &rate, Quantity quantity) {
    return amount_text(rate.amount, quantity) + "/" + time_text(rate.per_ns / ns_per_s) +
           (rate.burst ? " burst " + amount_text(rate.burst, quantity) : "");
}

std::string quota_text(const Quota &quota) {
    return in_units(quota.bytes, size_units) + "/" + time_text(quota.window_s) + directions_text(quota);
}

std::vector<std::string> flow_limits(const Limits &limits) {
    std::vector<std::string> sentences;
    const auto add = [&](const char *what, const std::optional<Rate> &rate, Quantity quantity) {
        if (rate)
            sentences.push_back(std::string(what) + " to " + rate_text(*rate, quantity));
    };
    add("egress", limits.egress, Quantity::octets);
    add("ingress", limits.ingress, Quantity::octets);
    add("packets", limits.packets, Quantity::packets);
    add("connections", limits.connections, Quantity::count);
    if (limits.quota)
        sentences.push_back((limits.quota->directions == Quota::both     ? "traffic"
                             : limits.quota->directions == Quota::egress ? "egress"
                                                                         : "ingress") +
                            std::string(" to a quota of ") + in_units(limits.quota->bytes, size_units) +
                            " per " + time_text(limits.quota->window_s));
    return sentences;
}

std::vector<std::string> question_limits(const Limits &limits) {
    if (!limits.queries)
        return {};
    return {"queries to " + rate_text(*limits.queries, Quantity::count)};
}

} // namespace penstock::policy
