// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/print_policy.h"

#include <cstdio>
#include <vector>

namespace penstock::fuzz {

using namespace penstock::policy;

namespace {

std::string quote(const std::string &text) {
    std::string out = "\"";
    for (const char c : text) {
        char escaped[8] = {c, 0};
        if (c == '"' || c == '\\')
            escaped[0] = '\\', escaped[1] = c, escaped[2] = 0;
        else if (static_cast<unsigned char>(c) < 0x20)
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
        out += escaped;
    }
    return out + '"';
}

// Fields of an object or items of a list, in the order they are added.
class Listing {
  public:
    explicit Listing(const char *brackets) : brackets_(brackets) {}
    void item(const std::string &text) { body_ += (body_.empty() ? "" : ", ") + text; }
    void raw(const char *key, const std::string &text) { item(quote(key) + ": " + text); }
    void field(const char *key, const std::string &text) { raw(key, quote(text)); }
    void field(const char *key, const std::optional<std::string> &text) {
        if (text)
            field(key, *text);
    }
    bool empty() const { return body_.empty(); }
    std::string text() const { return brackets_[0] + body_ + brackets_[1]; }

  private:
    const char *brackets_;
    std::string body_;
};

template <class List, class Print> std::string listing(const List &list, Print print_item) {
    Listing out("[]");
    for (const auto &item : list)
        out.item(print_item(item));
    return out.text();
}

template <class Value> std::string quoted_text(const Value &value) {
    return quote(value.text());
}

std::string rate(const Rate &rate, const char *unit) {
    return std::to_string(rate.amount) + unit + "/" + std::to_string(rate.per_ns / 1'000'000'000) + "s" +
           (rate.burst ? " burst " + std::to_string(rate.burst) + unit : "");
}

std::string limits(const Limits &limits) {
    Listing out("{}");
    if (limits.egress)
        out.field("egress", rate(*limits.egress, "B"));
    if (limits.ingress)
        out.field("ingress", rate(*limits.ingress, "B"));
    if (limits.connections)
        out.field("connections", rate(*limits.connections, ""));
    if (limits.packets)
        out.field("packets", rate(*limits.packets, ""));
    if (limits.queries)
        out.field("queries", rate(*limits.queries, ""));
    if (limits.quota) {
        const std::string text =
            std::to_string(limits.quota->bytes) + "B/" + std::to_string(limits.quota->window_s) + "s";
        out.field("quota", text + (limits.quota->directions == Quota::both     ? ""
                                   : limits.quota->directions == Quota::egress ? " egress"
                                                                               : " ingress"));
    }
    return out.text();
}

std::string ports(const PortRange &range) {
    if (range.protocol == Protocol::icmp)
        return quote("icmp");
    const std::string protocol = range.protocol == Protocol::tcp ? "tcp" : "udp";
    if (range.first == 0)
        return quote(protocol);
    return quote(protocol + "/" + std::to_string(range.first) + "-" + std::to_string(range.last));
}

const char *allow_or_deny(bool allow) {
    return allow ? "allow" : "deny";
}

std::string rule(const Rule &rule) {
    Listing out("{}");
    if (rule.name.find('[') == std::string::npos) // else it has none, and is called by its place
        out.field("name", rule.name);
    out.raw("domains", listing(rule.domains, quoted_text<NamePattern>));
    out.raw("cidrs", listing(rule.cidrs, quoted_text<Cidr>));
    if (!rule.ports.empty())
        out.raw("ports", listing(rule.ports, ports));
    if (rule.learn_private)
        out.field("private", std::string(allow_or_deny(*rule.learn_private)));
    if (rule.limits.any())
        out.raw("limits", limits(rule.limits));
    return out.text();
}

std::string selector(const Selector &selector) {
    Listing out("{}");
    out.field("cgroup", selector.cgroup);
    out.field("runtime", selector.runtime);
    out.field("name", selector.name);
    out.field("image", selector.image);
    out.field("namespace", selector.ns);
    out.field("pod", selector.pod);
    out.field("unit", selector.unit);
    Listing labels("{}");
    for (const auto &[key, value] : selector.labels)
        labels.item(quote(key) + ": " + quote(value));
    if (!labels.empty())
        out.raw("labels", labels.text());
    return out.text();
}

std::string dns(const Dns &dns) {
    Listing out("{}");
    if (dns.resolvers_any)
        out.field("resolvers", std::string("any"));
    if (dns.resolvers)
        out.raw("resolvers", listing(*dns.resolvers, quoted_text<Address>));
    if (dns.search)
        out.raw("search", listing(*dns.search, quote));
    if (dns.queries)
        out.field("queries", rate(*dns.queries, ""));
    out.field("minTTL", std::to_string(dns.min_ttl_s) + "s");
    out.field("private", std::string(allow_or_deny(dns.learn_private)));
    return out.text();
}

} // namespace

std::string print(const Policy &policy) {
    Listing spec("{}"), document("{}");
    spec.raw("select", listing(policy.select, selector));
    spec.field("mode", std::string(policy.mode == Mode::audit ? "audit" : "enforce"));
    spec.raw("dns", dns(policy.dns));
    spec.raw("allow", listing(policy.allow, rule));
    spec.raw("deny", listing(policy.deny, rule));
    spec.raw("limits", limits(policy.limits));
    spec.field("inbound", std::string(allow_or_deny(policy.inbound_allowed)));
    spec.field("loopback", std::string(allow_or_deny(policy.loopback_allowed)));
    spec.field("flows", std::string(policy.logs_flows ? "on" : "off"));
    document.field("apiVersion", std::string("penstock/v1"));
    document.field("kind", std::string("EgressPolicy"));
    document.raw("metadata", "{\"name\": " + quote(policy.name) + "}");
    document.raw("spec", spec.text());
    return document.text();
}

} // namespace penstock::fuzz
