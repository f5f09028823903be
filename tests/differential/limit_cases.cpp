// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/limit_cases.h"

#include <algorithm>

namespace penstock::differential {

using policy::Address;
using policy::Image;

namespace {

constexpr std::uint8_t ip_tcp = 6, ip_udp = 17;
constexpr std::uint64_t ns_per_s = 1'000'000'000;

// As one packet.
void measure(LimitCase &made) {
    made.attempt.packets = 1;
    made.attempt.octets = made.frame.size() - 14; // without the link header
}

} // namespace

std::string name_of(const Image &image, std::uint64_t rule) {
    return rule ? image.rules.at(rule).policy + "/" + image.rules.at(rule).rule : "";
}

std::string LimitCase::kind() const {
    if (attempt.asks)
        return "question";
    if (attempt.direction == abi::PS_INGRESS)
        return "in";
    if (packets > 1)
        return "buffer";
    return attempt.opens ? "opens" : "out";
}

// What nothing allows is not charged: rare.
LimitCase LimitCases::next(const World &world, const Image &image) {
    const auto kind = generator_.below(10);
    LimitCase made;
    next_port_ = static_cast<std::uint16_t>(next_port_ < 60000 ? next_port_ + 1 : 1024);
    for (int tries = 0; tries < 30; ++tries) {
        made = kind < 3 ? question(world, image) : kind < 5 ? packet_in(world) : flow(world, image);
        if (made.verdict.verdict == abi::PS_ALLOW || generator_.chance(2))
            break;
    }
    const bool allowed = made.verdict.verdict == abi::PS_ALLOW, over_lo = is_over_lo(made.frame);
    made.charged = allowed && (!over_lo || made.attempt.asks);
    made.attempt.rule = name_of(image, allowed ? made.verdict.rule : 0);
    made.packets = static_cast<std::uint32_t>(made.attempt.packets);
    if (over_lo)
        made.attempt.packets = 0; // a question there is still a question
    return made;
}

// From a new port in each case: no UDP conversation goes on. When ports begin anew, as many others have been since that the
// container has no room for that one any more.
Ends LimitCases::ends_to(const Address &remote, std::uint16_t port) {
    static const auto v4 = *Address::parse("198.51.100.77"), v6 = *Address::parse("2001:db8:ffff::77");
    return {remote.is_v4() ? v4 : v6, remote, next_port_, port};
}

LimitCase LimitCases::flow(const World &world, const Image &image) {
    auto flow = generator_.flow(world);
    flow.learned.clear();
    const bool has_ports = flow.protocol == ip_tcp || flow.protocol == ip_udp;
    if (flow.remote.text() == "127.0.0.11")
        flow.remote = *Address::parse("1.2.3.4"); // there and on port 53 are questions
    if (has_ports && flow.port == 53)
        flow.port = 443;
    LimitCase made;
    made.verdict = policy::explain(image, flow);
    made.text = describe(flow);
    const Octets payload(has_ports && generator_.chance(40) ? 0 : 8 + generator_.below(1400));
    made.frame = frame(ends_to(flow.remote, flow.port), flow.protocol, payload);
    made.attempt.opens = flow.protocol == ip_udp || (flow.protocol == ip_tcp && payload.empty());
    measure(made);
    if (flow.protocol == ip_tcp && payload.size() > 100 && generator_.chance(50)) { // a buffer of several
        made.attempt.packets = 2 + generator_.below(60);
        made.attempt.octets += (made.attempt.packets - 1) * (flow.remote.is_v4() ? 40 : 60);
    }
    return made;
}

// Of a connection of which the socket of a test run remembers nothing: the container's own.
LimitCase LimitCases::packet_in(const World &world) {
    const auto flow = generator_.flow(world);
    const auto ends = ends_to(flow.remote, flow.port == 53 ? std::uint16_t{443} : flow.port);
    LimitCase made;
    made.text = "in from " + flow.remote.text();
    made.frame =
        frame({ends.to, ends.from, ends.to_port, ends.from_port}, ip_tcp, Octets(1 + generator_.below(1400)));
    made.verdict.verdict = abi::PS_ALLOW;
    made.verdict.reason = abi::PS_R_INBOUND;
    made.attempt.direction = abi::PS_INGRESS;
    measure(made);
    return made;
}

LimitCase LimitCases::question(const World &world, const Image &image) {
    auto question = generator_.question(world);
    question.learned.clear();
    const auto type = policy::reverse_address(question.name) ? type_ptr : type_a;
    const auto ends = ends_to(question.resolver, 53);
    LimitCase made;
    made.text = describe(question);
    made.verdict = policy::explain(image, question);
    made.frame = frame(ends, ip_udp, dns_query(next_port_, question.name, type));
    made.attempt.asks = true;
    measure(made);
    return made;
}

abi::ps_budget LimitCases::prepare(NaiveBudget &naive, const abi::ps_limits &limits, const Attempt &attempt,
                                   const Clock &now) {
    abi::ps_budget budget{};
    for (std::size_t kind = 0; kind < abi::PS_RATES; ++kind) {
        auto &bucket = naive.buckets.at(kind);
        if (!bucket.is_limited() || generator_.chance(40))
            continue;
        const auto owed = debt(limits.rates[kind]);
        budget.full_ns[kind] = now.monotonic_ns + owed;
        bucket.owe(now.monotonic_ns, owed);
    }
    if (limits.quota_bytes && generator_.chance(80))
        prepare_quota(budget, naive.quota, limits, attempt, now);
    return budget;
}

// Anything up to more than the whole burst, or just below that: there it decides.
std::uint64_t LimitCases::debt(const abi::ps_rate &rate) {
    if (generator_.chance(50))
        return generator_.below(rate.burst_ns + 2 * ns_per_s);
    return rate.burst_ns - std::min<std::uint64_t>(rate.burst_ns, generator_.below(4 * ns_per_s));
}

// In the middle of a window, with as much left as the packet has or one octet less or more; or all that in the one before.
void LimitCases::prepare_quota(abi::ps_budget &budget, NaiveQuota &naive, const abi::ps_limits &limits,
                               const Attempt &attempt, const Clock &now) {
    const std::uint64_t length = limits.window_ns, windows = generator_.below(now.boot_ns / length + 1);
    const std::uint64_t before = now.boot_ns -
                                 std::min<std::uint64_t>(now.boot_ns - 1, windows * length + length / 2),
                        start = before - before % 1'000'000, choice = generator_.below(2);
    budget.window[choice] = PS_WINDOW(length / ns_per_s, start / 1'000'000);
    NaiveQuota::Window window;
    window.number = (now.boot_ns - start) / length;
    if (limits.quota_bytes < PS_SPENT_OCTETS(~0ULL) - 3000) // all that the kernel can count to
        window.granted = generator_.chance(20) ? generator_.below(3000) : 0;
    const auto whole = limits.quota_bytes + window.granted,
               edge = whole + generator_.below(3); // less one below
    window.used = edge > attempt.octets ? std::min(whole, edge - attempt.octets - 1) : whole;
    if (generator_.chance(30))
        window.used = generator_.below(whole + 1);
    window.told = generator_.chance(50) ? 0 : generator_.chance(50) ? 80 : 100;
    if (window.number > 0 && generator_.chance(20))
        --window.number;
    const auto tag = PS_SPENT_TAG(choice, window.number);
    budget.spent = PS_SPENT(tag, window.used);
    budget.granted = PS_SPENT(tag, window.granted);
    budget.told = PS_SPENT(tag, window.told);
    naive.resume(start, window);
}

} // namespace penstock::differential
