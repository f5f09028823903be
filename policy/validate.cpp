// SPDX-License-Identifier: Apache-2.0
// The document and its spec.
#include "policy/validate.h"

#include "policy/proto/policy.pb.h"
#include "policy/wording.h"

#include <algorithm>
#include <unordered_map>

namespace penstock::policy {
namespace {

// A required text with one right value.
void check_constant(bool given, const std::string &value, const char *expected, const Where &parent,
                    const char *field) {
    const Where where = parent.field(field);
    if (given && value != expected)
        where.error("unknown value " + quoted(value) + "; expected " + expected);
    else if (!given && !where.faulty())
        parent.error(std::string(field) + " is missing; expected " + field + ": " + expected);
}

std::string read_metadata(const v1::EgressPolicy &message, const Where &document) {
    const Where metadata = document.field("metadata"), name = metadata.field("name");
    if (metadata.faulty() || name.faulty())
        return {};
    if (!message.has_metadata())
        document.error("metadata is missing; expected metadata: {name: NAME}");
    else if (!message.metadata().has_name())
        metadata.error("name is missing; expected metadata: {name: NAME}");
    else
        check_identifier(message.metadata().name(), name);
    return message.metadata().name();
}

void read_select(const v1::Spec &message, std::vector<Selector> &into, const Where &spec) {
    const Where select = spec.field("select");
    for (int i = 0; i < message.select_size(); ++i)
        into.push_back(validate_selector(message.select(i), select.item(i)));
    if (message.select_size() == 0 && !select.faulty())
        (select.present() ? select : spec)
            .error("select names no container; expected at least one entry, "
                   "such as {cgroup: /penstock.slice/**}");
}

// Rule names are unique over allow and deny, as counters and events call rules by them.
class RuleReader {
  public:
    template <class List> std::vector<Rule> read(const List &messages, Effect effect, const Where &where) {
        std::vector<Rule> rules;
        for (int i = 0; i < messages.size(); ++i) {
            const Where at = where.item(i);
            Rule rule = validate_rule(messages[i], effect, at);
            if (!messages[i].has_name())
                rule.name = (effect == Effect::allow ? "allow[" : "deny[") + std::to_string(i) + "]";
            else if (const auto [seen, fresh] = first_.emplace(rule.name, at.path());
                     !fresh && !rule.name.empty())
                at.field("name").error("the name " + quoted(rule.name) + " is taken by " + seen->second);
            rules.push_back(std::move(rule));
        }
        return rules;
    }

  private:
    std::unordered_map<std::string, std::string> first_; // name to the path of the rule
};

// A server of the container's own choice answers what it likes.
void check_resolvers(const Policy &policy, const Where &spec) {
    const auto has_domains = [](const Rule &rule) { return !rule.domains.empty(); };
    if (policy.dns.resolvers_any && std::any_of(policy.allow.begin(), policy.allow.end(), has_domains))
        spec.field("dns")
            .field("resolvers")
            .warning("any server can then teach the container any address for the domains it may ask for: "
                     "list the resolvers");
}

void read_spec(const v1::Spec &message, Policy &policy, const Where &spec) {
    read_select(message, policy.select, spec);
    if (message.has_mode())
        policy.mode =
            choose(message.mode(), {"enforce", "audit"}, spec.field("mode")) ? Mode::audit : Mode::enforce;
    if (message.has_dns())
        policy.dns = validate_dns(message.dns(), spec.field("dns"));
    RuleReader rules;
    policy.allow = rules.read(message.allow(), Effect::allow, spec.field("allow"));
    policy.deny = rules.read(message.deny(), Effect::deny, spec.field("deny"));
    if (message.has_limits())
        policy.limits = validate_limits(message.limits(), spec.field("limits"));
    check_resolvers(policy, spec);
    if (message.has_inbound())
        policy.inbound_allowed = choose(message.inbound(), {"deny", "allow"}, spec.field("inbound")) == 1;
    if (message.has_loopback())
        policy.loopback_allowed = choose(message.loopback(), {"deny", "allow"}, spec.field("loopback")) == 1;
    if (message.has_flows())
        policy.logs_flows = choose(message.flows(), {"off", "on"}, spec.field("flows")) == 1;
}

} // namespace

Policy validate(const v1::EgressPolicy &message, const Where &document) {
    Policy policy;
    check_constant(message.has_api_version(), message.api_version(), "penstock/v1", document, "apiVersion");
    check_constant(message.has_kind(), message.kind(), "EgressPolicy", document, "kind");
    policy.name = read_metadata(message, document);
    const Where spec = document.field("spec");
    if (message.has_spec() && !spec.faulty())
        read_spec(message.spec(), policy, spec);
    else if (!spec.faulty())
        document.error("spec is missing");
    return policy;
}

} // namespace penstock::policy
