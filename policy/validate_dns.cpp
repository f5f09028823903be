// SPDX-License-Identifier: Apache-2.0
// The dns block.
#include "policy/canonical_name.h"
#include "policy/proto/policy.pb.h"
#include "policy/units.h"
#include "policy/validate.h"
#include "policy/wording.h"

#include "bpf/abi.h"

namespace penstock::policy {
namespace {

void read_resolvers(const v1::Resolvers &message, Dns &dns, const Where &where) {
    std::vector<Address> addresses;
    for (int i = 0; i < message.values_size(); ++i) {
        const auto &text = message.values(i);
        if (text == "any") {
            if (message.values_size() == 1)
                dns.resolvers_any = true;
            else
                where.item(i).error("any stands alone, not beside addresses");
            continue;
        }
        const auto address = Address::parse(text);
        if (!address)
            where.item(i).error(quoted(text) +
                                " is no address; expected one such as 10.0.0.2 or fd00::2, or any");
        else if (address->is_never_learned())
            where.item(i).error(quoted(text) + " cannot be a resolver's address");
        else
            addresses.push_back(*address);
    }
    if (!dns.resolvers_any)
        dns.resolvers = std::move(addresses);
}

void read_search(const v1::Search &message, Dns &dns, const Where &where) {
    std::vector<std::string> names;
    for (int i = 0; i < message.values_size(); ++i) {
        auto name = canonical_name(message.values(i));
        if (name)
            names.push_back(std::move(*name));
        else
            where.item(i).error(name.error().message);
    }
    dns.search = std::move(names);
}

void read_min_ttl(const std::string &text, Dns &dns, const Where &where) {
    const auto seconds = parse_seconds(text);
    if (!seconds)
        where.error(seconds.error().message);
    else if (*seconds > abi::PS_TTL_MAX_S)
        where.error("longer than a week; no learned address lives longer");
    else
        dns.min_ttl_s = static_cast<std::uint32_t>(*seconds);
}

} // namespace

Dns validate_dns(const v1::Dns &message, const Where &where) {
    Dns dns;
    if (message.has_resolvers())
        read_resolvers(message.resolvers(), dns, where.field("resolvers"));
    if (message.has_search())
        read_search(message.search(), dns, where.field("search"));
    if (message.has_queries()) {
        const auto rate = parse_rate(message.queries(), Quantity::count);
        if (rate)
            dns.queries = *rate;
        else
            where.field("queries").error(rate.error().message);
    }
    if (message.has_min_ttl())
        read_min_ttl(message.min_ttl(), dns, where.field("minTTL"));
    if (message.has_private_())
        dns.learn_private = choose(message.private_(), {"deny", "allow"}, where.field("private")) == 1;
    return dns;
}

} // namespace penstock::policy
