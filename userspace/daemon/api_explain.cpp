// SPDX-License-Identifier: Apache-2.0
// GET /v1/explain: what the kernel would answer, asked of the oracle with the image the container is bound to and what it
// has learned.
#include "policy/canonical_name.h"
#include "policy/network.h"
#include "userspace/daemon/api_answers.h"
#include "userspace/daemon/api_router.h"
#include "userspace/telemetry/names.h"

#include <algorithm>
#include <netinet/in.h>
#include <utility>

namespace penstock::daemon {
namespace asio = boost::asio;
namespace json = boost::json;
namespace {

struct Asked {
    std::string domain; // canonical; empty with ip
    std::optional<policy::Address> ip;
    std::optional<policy::PortRange> port;
    std::string port_text;
};

std::variant<Asked, ApiAnswer> parse(const ApiRequest &request) {
    const auto value = [&](const char *name) {
        const auto found = request.query.find(name);
        return found == request.query.end() ? nullptr : &found->second;
    };
    if (!value("container"))
        return error_answer(400, "expected container=C");
    const auto *domain = value("domain"), *ip = value("ip"), *port = value("port");
    if ((domain != nullptr) == (ip != nullptr))
        return error_answer(400, "expected domain=D or ip=A");
    Asked asked;
    if (domain) {
        const auto name = policy::canonical_name(*domain);
        if (!name)
            return error_answer(400, "domain: " + name.error().message);
        asked.domain = *name;
    } else {
        asked.ip = policy::Address::parse(*ip);
        if (!asked.ip)
            return error_answer(400, "ip: '" + *ip + "' is no IP address");
    }
    asked.port_text = port ? *port : ip ? "tcp/443" : "";
    if (asked.port_text.empty())
        return asked;
    const auto range = policy::parse_port_range(asked.port_text);
    if (!range || range->first != range->last)
        return error_answer(400, "port: expected tcp/N, udp/N or icmp, not '" + asked.port_text + "'");
    asked.port = *range;
    return asked;
}

// A container that is bound to a birth verdict, or to nothing, is judged by that alone.
policy::Verdict birth_verdict(const Container &container) {
    policy::Verdict verdict;
    switch (container.birth) {
    case abi::PS_POLICY_BIRTH_ALLOW:
        verdict.verdict = abi::PS_ALLOW;
        verdict.reason = abi::PS_R_OPEN;
        break;
    case abi::PS_POLICY_BIRTH_AUDIT:
        verdict.verdict = abi::PS_WOULD_DENY;
        verdict.reason = abi::PS_R_BIRTH;
        break;
    case abi::PS_POLICY_BIRTH_DENY:
        verdict.reason = abi::PS_R_BIRTH;
        break;
    default:
        verdict.reason = abi::PS_R_UNBOUND;
    }
    verdict.path.push_back("no policy selects the container: its birth verdict holds");
    return verdict;
}

std::vector<policy::LearnedName> names_of(const LearnedAddress &address) {
    std::vector<policy::LearnedName> names;
    for (const auto &name : address.names)
        names.push_back({name.name, name.expired});
    return names;
}

policy::Flow flow_to(const policy::Address &remote, const policy::PortRange &port) {
    policy::Flow flow;
    flow.remote = remote;
    flow.port = port.first;
    const int icmp = remote.is_v4() ? +IPPROTO_ICMP : +IPPROTO_ICMPV6;
    const int ip = port.protocol == policy::Protocol::tcp ? +IPPROTO_TCP : +IPPROTO_UDP;
    flow.protocol = static_cast<std::uint8_t>(port.protocol == policy::Protocol::icmp ? icmp : ip);
    return flow;
}

// A public address that no CIDR rule names, to judge a name by itself; the first candidate if every one is named.
policy::Address plain_address(const policy::Image *image) {
    const char *candidates[] = {"9.9.9.9",       "1.1.1.1",      "8.8.8.8",
                                "93.184.215.14", "151.101.1.69", "2620:fe::fe"};
    for (const auto *text : candidates) {
        const auto address = policy::Address::parse(text);
        if (address && !address->is_private() && (!image || !policy::find_address(*image, *address)))
            return *address;
    }
    return policy::Address::parse(candidates[0]).value();
}

struct FlowAsked {
    policy::Flow flow;
    bool learned = false;
};

std::vector<FlowAsked> flows_of(const Asked &asked, const std::vector<LearnedAddress> &learned,
                                std::uint32_t slot, const policy::Image *image) {
    std::vector<FlowAsked> flows;
    if (!asked.port)
        return flows;
    for (const auto &address : learned) {
        if (address.slot != slot)
            continue;
        const bool named = std::any_of(address.names.begin(), address.names.end(),
                                       [&](const auto &name) { return name.name == asked.domain; });
        if (asked.ip ? address.address != *asked.ip : !named)
            continue;
        flows.push_back({flow_to(address.address, *asked.port), true});
        flows.back().flow.learned = names_of(address);
    }
    std::sort(flows.begin(), flows.end(),
              [](const auto &a, const auto &b) { return a.flow.remote < b.flow.remote; });
    if (flows.empty()) {
        flows.push_back({flow_to(asked.ip ? *asked.ip : plain_address(image), *asked.port), false});
        if (!asked.ip)
            flows.back().flow.learned.push_back({asked.domain, false});
    }
    return flows;
}

policy::Question question_of(const Asked &asked, const std::vector<LearnedAddress> &learned,
                             std::uint32_t slot, const policy::Image &image) {
    policy::Question question;
    question.name = asked.domain;
    if (!image.resolvers.empty())
        question.resolver = image.resolvers.front();
    else if (image.settings.resolvers_any)
        question.resolver = plain_address(nullptr);
    if (const auto reverse = policy::reverse_address(asked.domain))
        for (const auto &address : learned)
            if (address.slot == slot && address.address == *reverse)
                question.learned = names_of(address);
    return question;
}

std::uint8_t worse(std::uint8_t a, std::uint8_t b) {
    const auto rank = [](std::uint8_t verdict) {
        return verdict == abi::PS_DENY ? 2 : verdict == abi::PS_WOULD_DENY ? 1 : 0;
    };
    return rank(b) > rank(a) ? b : a;
}

} // namespace

asio::awaitable<ApiAnswer> ApiRouter::explain(const ApiRequest &request) {
    const auto parsed = parse(request);
    if (const auto *fault = std::get_if<ApiAnswer>(&parsed))
        co_return *fault;
    const auto &asked = std::get<Asked>(parsed);
    const auto found = find_container(context_.enforcer, request.query.at("container"));
    if (const auto *fault = std::get_if<ApiAnswer>(&found))
        co_return *fault;
    const Container container = *std::get<const Container *>(found); // a copy: it may go while we wait
    const auto learned = co_await context_.meter.learned();
    if (!learned)
        co_return error_answer(500, learned.error().message);

    const auto slot = container.row.slot;
    const auto *image = container.image.get();
    std::uint8_t verdict = abi::PS_ALLOW;
    json::value query;
    // Questions are charged to the container's quota alone, flows to the rule's too; loopback to none.
    const auto charge = [&](policy::Verdict &judged, std::uint64_t rule) {
        if (const auto quota = context_.quotas.find(container, rule); quota && *quota)
            apply_spent(judged, **quota, image->settings.mode);
    };
    const auto is_charged = [&](const policy::Verdict &judged) {
        return image && image->settings.mode != abi::PS_MODE_OPEN && judged.verdict == abi::PS_ALLOW &&
               judged.reason != abi::PS_R_LOOPBACK;
    };
    if (!asked.ip) {
        auto judged = image ? policy::explain(*image, question_of(asked, *learned, slot, *image))
                            : birth_verdict(container);
        if (is_charged(judged))
            charge(judged, 0);
        verdict = worse(verdict, judged.verdict);
        query = verdict_json(judged, context_.meter);
    }
    json::array flows;
    for (const auto &[flow, is_learned] : flows_of(asked, *learned, slot, image)) {
        auto judged = image ? policy::explain(*image, flow) : birth_verdict(container);
        if (is_charged(judged)) {
            if (judged.rule != 0)
                charge(judged, judged.rule);
            charge(judged, 0);
        }
        verdict = worse(verdict, judged.verdict);
        auto object = verdict_json(judged, context_.meter);
        object["remote"] = flow.remote.text();
        object["learned"] = is_learned;
        flows.push_back(std::move(object));
    }
    auto policies = container.policies;
    std::sort(policies.begin(), policies.end());
    co_return json_answer({{"container", telemetry::utf8_text(container.node.path)},
                           {"cgroup_id", telemetry::hex_id(container.node.id)},
                           {"policies", strings_json(policies)},
                           {"mode", container_mode(container)},
                           {"generation", container.image ? container.handle.generation : 0},
                           {"domain", asked.domain},
                           {"ip", asked.ip ? asked.ip->text() : ""},
                           {"port", asked.port_text},
                           {"verdict", telemetry::verdict_name(verdict)},
                           {"query", std::move(query)},
                           {"flows", std::move(flows)}});
}

} // namespace penstock::daemon
