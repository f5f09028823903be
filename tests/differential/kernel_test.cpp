// SPDX-License-Identifier: Apache-2.0
// The kernel's verdict, reason and rule against explain() on random policies, flows and questions. Addresses are learned
// the real way: a query out, its answer in. Half of them under another policy, so that they are judged again.
#include "policy/explain.h"
#include "tests/differential/generate.h"
#include "tests/differential/kernel_gate.h"
#include "tests/differential/teacher.h"
#include "tests/differential/worker.h"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <stdexcept>
#include <tuple>

using namespace penstock;
using namespace penstock::differential;
using policy::Address;
using policy::Image;

namespace {

constexpr std::size_t wanted_pairs = 120000;
constexpr std::uint8_t ip_tcp = 6, ip_udp = 17;
constexpr KernelGate::PolicyId teacher_id = abi::PS_POLICY_FIRST, first_id = teacher_id + 1;

Address parsed(const char *text) {
    return *Address::parse(text);
}

Image compile_world(const World &world) {
    std::vector<const policy::Policy *> selected;
    for (const auto &policy : world.policies)
        selected.push_back(&policy);
    return policy::compile(selected, world.environment);
}

class Comparison {
  public:
    Comparison(std::uint64_t seed, const Surroundings &surroundings)
        : generator_(seed), gate_(surroundings.cgroup_id, surroundings.ifindex), teacher_(teacher()) {
        gate_.write(teacher_id, teacher_);
    }

    void run() {
        for (KernelGate::PolicyId id = first_id; pairs_ < wanted_pairs; ++id) {
            world_ = generator_.world();
            image_ = compile_world(world_);
            gate_.write(id_ = id, image_);
            for (int i = 0; i < 60; ++i)
                compare_flow();
            for (int i = 0; i < 60; ++i)
                compare_question();
            gate_.bind(teacher_id);
            gate_.erase(id, image_);
            gate_.write(teacher_id, teacher_); // a rule set of it may be the world's too
        }
    }

    std::size_t pairs() const { return pairs_; }
    const std::map<int, std::size_t> &reasons() const { return reasons_; }

  private:
    void compare_flow() {
        auto flow = generator_.flow(world_);
        const bool has_ports = flow.protocol == ip_tcp || flow.protocol == ip_udp;
        if (flow.protocol == ip_udp && (flow.port == 53 || flow.remote == parsed("127.0.0.11")))
            return; // every datagram there is a question, and judged as one below; a TCP segment may be empty
        learn(flow.remote, flow.learned);
        gate_.bind(id_);
        const auto packet = frame(ends_to(flow.remote, flow.port), flow.protocol,
                                  has_ports ? Octets{} : Octets{8, 0, 0, 0, 0, 0, 0, 0});
        compare(flow, packet);
        gate_.forget(flow.remote);
    }

    void compare_question() {
        auto question = generator_.question(world_);
        const auto address = policy::reverse_address(question.name);
        if (address)
            learn(*address, question.learned);
        gate_.bind(id_);
        ask(question, address ? type_ptr : type_a);
        if (address)
            gate_.forget(*address);
    }

    // Teaches the names, one after the other, and drops those that could not be taught.
    void learn(const Address &address, std::vector<policy::LearnedName> &names) {
        std::vector<policy::LearnedName> taught;
        for (const auto &name : names) {
            const auto before = gate_.learned_names(address);
            const bool again =
                std::any_of(taught.begin(), taught.end(), [&](const auto &t) { return t.name == name.name; });
            if (again || !(generator_.chance(50) ? teach_by_teacher(address, name.name)
                                                 : teach_by_own(address, name.name)))
                continue;
            if (name.expired && gate_.learned_names(address) > before) // else it was not learned at all
                gate_.expire(address, before);
            taught.push_back(name);
        }
        names = std::move(taught);
    }

    bool teach_by_teacher(const Address &address, const std::string &name) {
        gate_.bind(teacher_id);
        const auto resolver = parsed(generator_.chance(50) ? "203.0.113.53" : "2001:db8::53");
        const auto ends = ends_to(resolver, 53);
        const auto query = dns_query(next_id_++, mixed_case(name), address.is_v4() ? type_a : type_aaaa);
        if (!gate_.egress(frame(ends, ip_udp, query)))
            throw std::runtime_error("the teacher's query was denied\n" + gate_.counters());
        ++counted_[{policy::rule_id("teacher", "every"), abi::PS_ALLOW, abi::PS_R_DNS_QUERY}];
        answer(ends, query, address);
        if ((gate_.learned_names(address) == 0) != address.is_never_learned())
            throw std::runtime_error(address.text() + (address.is_never_learned() ? " was" : " was not") +
                                     " learned under the teacher\n" + gate_.counters());
        return true;
    }

    // False if the policy would not let the query pass. That too is a pair.
    bool teach_by_own(const Address &address, const std::string &name) {
        gate_.bind(id_);
        policy::Question question{name, parsed("203.0.113.53"), {}};
        if (!image_.settings.resolvers_any && !image_.resolvers.empty())
            question.resolver = image_.resolvers.front();
        if (policy::reverse_address(name))
            return false; // what is learned for its address is not known here
        const auto [passed, ends, query] = ask(question, address.is_v4() ? type_a : type_aaaa);
        if (passed)
            answer(ends, query, address);
        return passed;
    }

    struct Asked {
        bool passed;
        Ends ends;
        Octets query;
    };
    Asked ask(const policy::Question &question, std::uint16_t type) {
        const auto ends = ends_to(question.resolver, 53);
        const auto query = dns_query(next_id_++, mixed_case(question.name), type);
        const bool tcp = generator_.chance(20);
        const auto packet = tcp ? frame(ends, ip_tcp, with_length(query)) : frame(ends, ip_udp, query);
        const bool passed = compare(question, packet);
        return {passed && !tcp, ends, query};
    }

    void answer(const Ends &ends, const Octets &query, const Address &address) {
        const Ends back{ends.to, ends.from, ends.to_port, ends.from_port};
        if (!gate_.ingress(frame(back, ip_udp, dns_answer(query, address, 300))))
            throw std::runtime_error("an answer was dropped\n" + gate_.counters());
    }

    // Did it pass? Throws when verdict, reason or rule are not what explain says.
    template <class What> bool compare(const What &what, const Octets &packet) {
        const auto expected = policy::explain(image_, what);
        const bool passed = gate_.egress(packet);
        auto &count = counted_[{expected.rule, expected.verdict, expected.reason}];
        ++count;
        ++pairs_;
        ++reasons_[expected.reason];
        if (passed == (expected.verdict != abi::PS_DENY) &&
            gate_.counted(expected.rule, abi::PS_EGRESS, expected.verdict, expected.reason) == count)
            return passed;
        throw std::runtime_error(
            describe(world_) + describe(what) + "\nexplain: " + describe(answer_of(image_, expected)) +
            "\nkernel: " + (passed ? "passed" : "dropped") + ", counted otherwise:\n" + odd_counters());
    }

    // What the kernel counted and we did not.
    std::string odd_counters() const {
        std::string text;
        for (const auto &[id, info] : image_.rules)
            text += std::to_string(id) + " is " + info.policy + "/" + info.rule + '\n';
        for (int reason = 0; reason < abi::PS_R_COUNT; ++reason)
            for (const int verdict : {abi::PS_ALLOW, abi::PS_DENY, abi::PS_WOULD_DENY})
                text += odd_counter(0, static_cast<abi::ps_verdict>(verdict),
                                    static_cast<abi::ps_reason>(reason));
        for (const auto &[id, info] : image_.rules)
            for (int reason = 0; reason < abi::PS_R_COUNT; ++reason)
                for (const int verdict : {abi::PS_ALLOW, abi::PS_DENY, abi::PS_WOULD_DENY})
                    text += odd_counter(id, static_cast<abi::ps_verdict>(verdict),
                                        static_cast<abi::ps_reason>(reason));
        return text;
    }

    std::string odd_counter(std::uint64_t rule, abi::ps_verdict verdict, abi::ps_reason reason) const {
        const auto place = counted_.find({rule, verdict, reason});
        const auto ours = place == counted_.end() ? 0 : place->second,
                   theirs = gate_.counted(rule, abi::PS_EGRESS, verdict, reason);
        if (ours == theirs)
            return {};
        return "verdict " + std::to_string(verdict) + " reason " + std::to_string(reason) + " rule " +
               std::to_string(rule) + ": expected " + std::to_string(ours) + ", counted " +
               std::to_string(theirs) + '\n';
    }

    // As resolvers that check answers by case write it (0x20).
    std::string mixed_case(std::string name) {
        for (auto &letter : name)
            if (letter >= 'a' && letter <= 'z' && generator_.chance(50))
                letter = static_cast<char>(letter - 'a' + 'A');
        return name;
    }

    Ends ends_to(const Address &remote, std::uint16_t port) {
        static const auto v4 = parsed("198.51.100.77"), v6 = parsed("2001:db8:ffff::77");
        return {remote.is_v4() ? v4 : v6, remote, static_cast<std::uint16_t>(1024 + generator_.below(60000)),
                port};
    }

    Generator generator_;
    KernelGate gate_;
    Image teacher_;
    World world_;
    Image image_;
    KernelGate::PolicyId id_ = 0;
    std::uint16_t next_id_ = 0;
    std::size_t pairs_ = 0;
    std::map<int, std::size_t> reasons_;
    std::map<std::tuple<std::uint64_t, abi::ps_verdict, abi::ps_reason>, std::uint64_t> counted_; // at egress
};

void compare_all(std::uint64_t seed, const Surroundings &surroundings) {
    Comparison comparison(seed, surroundings);
    const auto start = std::chrono::steady_clock::now();
    comparison.run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::cout << comparison.pairs() << " pairs in " << took.count() << " s, "
              << static_cast<std::size_t>(static_cast<double>(comparison.pairs()) / took.count())
              << " pairs/s\n";
    for (const int reason :
         {abi::PS_R_CIDR, abi::PS_R_LEARNED, abi::PS_R_DNS_QUERY, abi::PS_R_LOOPBACK, abi::PS_R_REVERSE_QUERY,
          abi::PS_R_NO_RULE, abi::PS_R_DENY_RULE, abi::PS_R_NAME_NOT_ALLOWED, abi::PS_R_NAME_DENIED,
          abi::PS_R_RESOLVER, abi::PS_R_DNS_SESSION, abi::PS_R_LOOPBACK_DENIED, abi::PS_R_REVERSE_NOT_ALLOWED,
          abi::PS_R_PROTOCOL}) {
        const auto place = comparison.reasons().find(reason);
        if (place == comparison.reasons().end() || place->second < 200)
            throw std::runtime_error("reason " + std::to_string(reason) +
                                     " was hardly reached: the run shows too little");
    }
}

} // namespace

TEST_CASE("the kernel judges as explain says") {
    const auto seed = run_seed();
    std::cout << "PENSTOCK_SEED=" << seed << '\n';
    const auto report =
        run_in_cgroup("penstock-differential-" + std::to_string(getpid()),
                      [&](const Surroundings &surroundings) { compare_all(seed, surroundings); });
    INFO("PENSTOCK_SEED=" << seed);
    INFO(report);
    REQUIRE(report.empty());
}
