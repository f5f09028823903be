// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/lost_traffic.h"

#include "policy/explain.h"
#include "userspace/daemon/lost_addresses.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <map>
#include <utility>

namespace penstock::daemon {
namespace {

using Policies = std::vector<policy::Policy>;

bool is_every_address(const policy::Rule &rule) {
    const auto has = [&](const char *text) {
        const auto cidr = policy::Cidr::parse(text);
        return std::find(rule.cidrs.begin(), rule.cidrs.end(), *cidr) != rule.cidrs.end();
    };
    return has("0.0.0.0/0") && has("::/0");
}

// Without denies of addresses, which may or may not be those of a name.
void drop_denied_addresses(policy::Policy &policy) {
    std::erase_if(policy.deny, [](policy::Rule &rule) {
        if (rule.cidrs.empty() || is_every_address(rule))
            return false;
        rule.cidrs.clear();
        return rule.domains.empty();
    });
}

// As an apply would leave it.
Policies after(const LostTrafficInput &input) {
    Policies all = input.wanted;
    for (const auto &policy : input.in_force)
        if (std::none_of(input.wanted.begin(), input.wanted.end(),
                         [&](const auto &wanted) { return wanted.name == policy.name; }))
            all.push_back(policy);
    return all;
}

// As far as names can be judged.
Policies judging_names(Policies all) {
    for (auto &policy : all)
        drop_denied_addresses(policy);
    return all;
}

const policy::Rule *rule_of(const Policies &policies, const telemetry::CounterRow &row) {
    for (const auto &policy : policies)
        if (policy.name == row.policy)
            for (const auto &rule : policy.allow)
                if (rule.name == row.rule)
                    return &rule;
    return nullptr;
}

// A public address stands for those that the name has.
policy::Flow flow_to(const std::string &domain, policy::Protocol protocol, std::uint16_t port) {
    static const auto address = *policy::Address::parse("203.0.113.1");
    policy::Flow flow;
    flow.remote = address;
    flow.protocol = protocol == policy::Protocol::tcp ? 6 : protocol == policy::Protocol::udp ? 17 : 1;
    flow.port = port;
    flow.learned.push_back({domain, false});
    return flow;
}

// The reason why the name is lost; empty: it is not for certain.
std::string why_lost(const policy::Image &image, const std::string &domain, const policy::Rule *rule) {
    policy::Question question;
    question.name = domain;
    if (!image.resolvers.empty())
        question.resolver = image.resolvers.front();
    const auto asked = policy::explain(image, question);
    if (asked.verdict != abi::PS_ALLOW)
        return telemetry::reason_name(asked.reason);
    if (!rule || rule->ports.empty())
        return {};
    std::string why;
    for (const auto &range : rule->ports) {
        if (range.first != range.last)
            return {}; // which of them were used is not known
        const auto sent = policy::explain(image, flow_to(domain, range.protocol, range.first));
        if (sent.verdict == abi::PS_ALLOW)
            return {};
        why = telemetry::reason_name(sent.reason);
    }
    return why;
}

// What containers stand for before and after, by path.
class Standings {
  public:
    explicit Standings(const LostTrafficInput &input)
        : policies_(after(input)), for_names_(daemon::judging_names(policies_)), wanted_(input.wanted.size()),
          before_(input.in_force, input.gate_root, input.birth),
          after_(policies_, input.gate_root, input.birth) {}

    struct Of {
        std::vector<std::size_t> policies; // afterwards, of its own or of the container it is then part of
        bool touched = false;              // the text selects it
        bool falls = false;                // it was selected and will be denied from birth
    };
    const Of &of(const std::string &path) {
        const auto [place, fresh] = known_.try_emplace(path);
        if (!fresh)
            return place->second;
        using Kind = container::Standing::Kind;
        auto now = after_.standing(path);
        if (now.kind == Kind::inner)
            now = after_.standing(now.container);
        auto &of = place->second;
        of.policies = now.policies;
        of.touched = std::any_of(of.policies.begin(), of.policies.end(),
                                 [this](auto index) { return index < wanted_; });
        of.falls = now.is_row() && now.birth == abi::PS_POLICY_BIRTH_DENY &&
                   before_.standing(path).kind == Kind::selected;
        return of;
    }
    // The policies of a container afterwards: as a whole, and as far as names can be judged.
    std::vector<const policy::Policy *> whole(const Of &of) const { return chosen(policies_, of); }
    std::vector<const policy::Policy *> judging_names(const Of &of) const { return chosen(for_names_, of); }

  private:
    static std::vector<const policy::Policy *> chosen(const Policies &all, const Of &of) {
        std::vector<const policy::Policy *> chosen;
        for (const auto index : of.policies)
            chosen.push_back(&all[index]);
        return chosen;
    }

    Policies policies_, for_names_;
    std::size_t wanted_;
    container::Selection before_, after_;
    std::map<std::string, Of> known_;
};

// Why what a rule allowed by address is lost, looked into once for all containers with the same policies.
class LostAddresses {
  public:
    const std::string &of(const Standings &standings, const Standings::Of &standing,
                          const policy::Rule &rule) {
        const auto [place, fresh] = known_.try_emplace({standing.policies, &rule});
        if (fresh)
            place->second = why_addresses_lost(standings.whole(standing), rule);
        return place->second;
    }

  private:
    std::map<std::pair<std::vector<std::size_t>, const policy::Rule *>, std::string> known_;
};

} // namespace

std::vector<LostTraffic> lost_traffic(const LostTrafficInput &input) {
    Standings standings(input);
    std::map<std::vector<std::size_t>, policy::Image> images;
    LostAddresses addresses;
    std::vector<LostTraffic> lost;
    for (const auto &row : input.counters) {
        if (row.container.empty() || row.direction != abi::PS_EGRESS || row.verdict != abi::PS_ALLOW)
            continue;
        const auto &standing = standings.of(row.container);
        if (standing.falls && !row.policy.empty()) {
            lost.push_back({row, telemetry::reason_name(abi::PS_R_BIRTH)});
            continue;
        }
        if (row.reason == abi::PS_R_DNS_QUERY)
            continue; // the question for what is told of
        const bool named = !row.domain.empty() && row.domain != telemetry::other_domains;
        const bool touched =
            standing.touched || std::any_of(input.wanted.begin(), input.wanted.end(),
                                            [&](const auto &wanted) { return wanted.name == row.policy; });
        if (!touched || standing.policies.empty())
            continue;
        const auto *rule = rule_of(input.in_force, row);
        std::string why;
        if (named) {
            auto image = images.find(standing.policies);
            if (image == images.end())
                image = images
                            .emplace(standing.policies,
                                     policy::compile(standings.judging_names(standing), input.environment))
                            .first;
            why = why_lost(image->second, row.domain, rule);
        } else if (rule && row.reason == abi::PS_R_CIDR) {
            why = addresses.of(standings, standing, *rule);
        }
        if (!why.empty())
            lost.push_back({row, std::move(why)});
    }
    return lost;
}

} // namespace penstock::daemon
