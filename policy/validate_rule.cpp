// SPDX-License-Identifier: Apache-2.0
// Rules and limits.
#include "policy/canonical_name.h"
#include "policy/limit_text.h"
#include "policy/network.h"
#include "policy/proto/policy.pb.h"
#include "policy/units.h"
#include "policy/validate.h"

namespace penstock::policy {
namespace {

// Reads each text of a list; what is faulty is reported at its place and left out.
template <class List, class Value, class Parse>
void read_list(const List &texts, std::vector<Value> &into, const Where &where, Parse parse) {
    into.reserve(static_cast<std::size_t>(texts.size()));
    for (int i = 0; i < texts.size(); ++i) {
        auto value = parse(texts[i]);
        if (value)
            into.push_back(std::move(*value));
        else
            where.item(i).error(value.error().message);
    }
}

template <class Value> void keep(Outcome<Value> value, std::optional<Value> &into, const Where &where) {
    if (value)
        into = *value;
    else
        where.error(value.error().message);
}

void keep_rate(const std::string &text, Quantity quantity, std::optional<Rate> &into, const Where &where) {
    keep(parse_rate(text, quantity), into, where);
    if (!into)
        return;
    const Rate holds = held(*into, quantity);
    if (holds.burst != into->burst)
        where.warning(
            "burst " + amount_text(into->burst, quantity) + " counts as " +
            amount_text(holds.burst, quantity) + ", the least: " +
            (quantity == Quantity::octets ? "two of TCP's buffers" : "the packets of one of TCP's buffers"));
}

void check_holds_something(const v1::Rule &message, const Where &where) {
    const Where domains = where.field("domains"), cidrs = where.field("cidrs");
    if (message.domains().empty() && message.cidrs().empty() && !domains.faulty() && !cidrs.faulty())
        where.error("the rule names nothing; expected domains or cidrs with at least one entry");
    if (message.ports().empty() && where.field("ports").present() && !where.field("ports").faulty())
        where.field("ports").error(
            "an empty list of ports; leave ports out to mean every port of tcp and udp");
}

void check_effect(const v1::Rule &message, Effect effect, const Where &where) {
    if (effect == Effect::deny) {
        if (message.has_private_())
            where.field("private").error("a deny rule learns no addresses; private belongs in allow rules");
        if (message.has_limits())
            where.field("limits").error(
                "a deny rule lets nothing through to be limited; limits belong in allow rules");
    } else if (message.has_private_() && message.domains().empty() && !where.field("domains").faulty()) {
        where.field("private").error("private is about the addresses of domains, and the rule has none; "
                                     "private networks in cidrs need no permission");
    }
    if (effect == Effect::allow && message.limits().has_queries() && message.domains().empty() &&
        !where.field("domains").faulty())
        where.field("limits").field("queries").error(
            "queries is about questions for domains, and the rule has none");
}

} // namespace

Rule validate_rule(const v1::Rule &message, Effect effect, const Where &where) {
    Rule rule;
    if (message.has_name()) {
        check_identifier(message.name(), where.field("name"));
        rule.name = message.name();
    }
    read_list(message.domains(), rule.domains, where.field("domains"),
              [](const std::string &text) { return parse_name_pattern(text); });
    read_list(message.cidrs(), rule.cidrs, where.field("cidrs"),
              [](const std::string &text) { return parse_cidr(text); });
    read_list(message.ports(), rule.ports, where.field("ports"),
              [](const std::string &text) { return parse_port_range(text); });
    check_holds_something(message, where);
    check_effect(message, effect, where);
    if (message.has_private_())
        rule.learn_private = choose(message.private_(), {"deny", "allow"}, where.field("private")) == 1;
    if (message.has_limits() && effect == Effect::allow)
        rule.limits = validate_limits(message.limits(), where.field("limits"));
    return rule;
}

Limits validate_limits(const v1::Limits &message, const Where &where) {
    Limits limits;
    if (message.has_egress())
        keep_rate(message.egress(), Quantity::octets, limits.egress, where.field("egress"));
    if (message.has_ingress())
        keep_rate(message.ingress(), Quantity::octets, limits.ingress, where.field("ingress"));
    if (message.has_connections())
        keep_rate(message.connections(), Quantity::count, limits.connections, where.field("connections"));
    if (message.has_packets())
        keep_rate(message.packets(), Quantity::packets, limits.packets, where.field("packets"));
    if (message.has_queries())
        keep_rate(message.queries(), Quantity::count, limits.queries, where.field("queries"));
    if (message.has_quota())
        keep(parse_quota(message.quota()), limits.quota, where.field("quota"));
    return limits;
}

} // namespace penstock::policy
