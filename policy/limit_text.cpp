// SPDX-License-Identifier: Apache-2.0
#include "policy/limit_text.h"

#include "policy/unit_table.h"

namespace penstock::policy {
namespace {

// In the largest unit of which it is a multiple.
template <std::size_t N> std::string in_units(std::uint64_t value, const Unit (&units)[N]) {
    const Unit *largest = &units[0]; // the unit of one
    for (const Unit &unit : units)
        if (value % unit.factor == 0 && unit.factor > largest->factor)
            largest = &unit;
    return std::to_string(value / largest->factor).append(largest->name);
}

// "s", "24h": one of a unit goes without its number, but for a day.
std::string time_text(std::uint64_t seconds) {
    const std::string text = seconds == 86400 ? "24h" : in_units(seconds, time_units);
    return text.starts_with('1') && text.size() > 1 && (text[1] < '0' || text[1] > '9') ? text.substr(1)
                                                                                        : text;
}

std::string directions_text(const Quota &quota) {
    if (quota.directions == Quota::both)
        return {};
    return quota.directions == Quota::egress ? " egress" : " ingress";
}

} // namespace

std::string amount_text(std::uint64_t amount, Quantity quantity) {
    return quantity == Quantity::octets ? in_units(amount, size_units) : std::to_string(amount);
}

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
            sentences.push_back(std::string(what) + " to " + rate_text(held(*rate, quantity), quantity));
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
    return {"queries to " + rate_text(held(*limits.queries, Quantity::count), Quantity::count)};
}

} // namespace penstock::policy
