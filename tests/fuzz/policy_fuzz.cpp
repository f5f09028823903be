// SPDX-License-Identifier: Apache-2.0
// Policy text from the outside to a verdict: load, compile, explain. Built once for each format (FUZZED_FORMAT: yaml, json,
// protobuf). What is refused says where and why; what is accepted means the same when printed and read again, in any order,
// and to the naive judge. Nothing throws: an exception ends the run.
#include "policy/compile.h"
#include "policy/explain.h"
#include "policy/load.h"
#include "tests/differential/naive.h"
#include "tests/fuzz/print_policy.h"
#include "tests/fuzz/property.h"

#include <algorithm>
#include <string>
#include <vector>

using namespace penstock;
using namespace penstock::fuzz;

namespace {

constexpr auto format = policy::Format::FUZZED_FORMAT;
constexpr std::size_t values_asked = 6; // of each list, so that one input stays cheap

std::vector<std::string> lines_of(const std::string &text) {
    std::vector<std::string> lines(1);
    for (const char c : text)
        if (c == '\n')
            lines.emplace_back();
        else
            lines.back() += c;
    return lines;
}

void check_place(const policy::Diagnostic &d, const std::vector<std::string> &lines) {
    if (format == policy::Format::protobuf) {
        require(d.line == 0 && d.column == 0, "a fault of a binary source has no place");
        return;
    }
    require(d.line >= 1 && static_cast<std::size_t>(d.line) <= lines.size(), "a fault's line is in the text");
    const auto &line = lines[static_cast<std::size_t>(d.line) - 1];
    require(d.column >= 1 && static_cast<std::size_t>(d.column) <= line.size() + 1,
            "a fault's column is in its line, or just behind it");
}

void check_diagnostics(const policy::Diagnostics &diagnostics, const std::string &text) {
    const auto lines = lines_of(text);
    require(diagnostics.size() <= 1100, "a hostile text makes no report without end");
    for (const auto &d : diagnostics) {
        require(d.file == "f" && !d.message.empty(), "a fault says where and what");
        const auto shown = d.text();
        require(std::none_of(shown.begin(), shown.end(),
                             [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }),
                "a fault is one line without control characters");
        check_place(d, lines);
    }
}

policy::Image compile(const std::vector<const policy::Policy *> &selected) {
    policy::Environment environment;
    environment.resolvers = {*policy::Address::parse("10.0.0.2")};
    environment.search = {"svc.cluster.local"};
    return policy::compile(selected, environment);
}

// Printed and read again by both readers of text, the policy is the same to the last field.
void check_round_trip(const policy::Policy &original) {
    const auto text = print(original);
    const auto hash = compile({&original}).settings.content_hash;
    for (const auto reader : {policy::Format::json, policy::Format::yaml}) {
        const auto again = policy::load({{"again", text, reader}});
        for (const auto &d : again.diagnostics)
            if (d.severity == policy::Diagnostic::Severity::error)
                broken("an accepted policy is accepted again: " + d.text() + "\n" + text);
        require(again.policies.size() == 1, "one policy printed, one read");
        if (print(again.policies[0]) != text)
            broken("a policy read again is the same:\n" + text + "\n" + print(again.policies[0]));
        require(compile({&again.policies[0]}).settings.content_hash == hash, "the same image");
    }
}

template <class Asked>
void check_verdict(const differential::World &world, const policy::Image &image, const Asked &asked) {
    const auto verdict = policy::explain(image, asked);
    require(!verdict.path.empty(), "a verdict says how it came about");
    if (differential::answer_of(image, verdict) != differential::judge(world, asked))
        broken("explain and the naive judge agree (reason " + std::to_string(verdict.reason) + ", naive " +
               std::to_string(differential::judge(world, asked).reason) + ")");
}

void ask_domains(const differential::World &world, const policy::Image &image, const policy::Rule &rule) {
    for (std::size_t i = 0; i < std::min(values_asked, rule.domains.size()); ++i) {
        const auto &name = rule.domains[i].name;
        for (const auto &asked :
             {name, "x." + name, name + ".svc.cluster.local", name + "x", std::string("x.y.z")}) {
            if (asked.empty() || asked.size() > abi::PS_NAME_MAX || asked.front() == '.' ||
                asked.back() == '.')
                continue; // the pattern * has no name
            check_verdict(world, image, policy::Question{asked, *policy::Address::parse("10.0.0.2"), {}});
            policy::Flow flow;
            flow.remote = *policy::Address::parse(i % 2 ? "203.0.113.9" : "10.9.9.9");
            flow.port = rule.ports.empty() ? 443 : rule.ports[0].last;
            flow.learned = {{asked, false}};
            check_verdict(world, image, flow);
        }
    }
}

void ask_cidrs(const differential::World &world, const policy::Image &image, const policy::Rule &rule) {
    for (std::size_t i = 0; i < std::min(values_asked, rule.cidrs.size()); ++i) {
        for (const unsigned change : {0U, 1U}) {
            policy::Flow flow;
            flow.remote = rule.cidrs[i].address;
            flow.remote.octets[15] = static_cast<std::uint8_t>(flow.remote.octets[15] ^ change);
            for (const std::uint8_t protocol : std::initializer_list<std::uint8_t>{6, 17, 1}) {
                flow.protocol = protocol;
                flow.port = protocol == 1 ? 0 : rule.ports.empty() ? 1 : rule.ports[0].first;
                if (flow.port != 53)
                    check_verdict(world, image, flow);
            }
        }
    }
}

void check_accepted(const std::vector<policy::Policy> &policies) {
    std::vector<const policy::Policy *> selected;
    for (const auto &p : policies)
        selected.push_back(&p);
    const auto image = compile(selected);
    std::reverse(selected.begin(), selected.end());
    require(compile(selected).settings.content_hash == image.settings.content_hash,
            "the order of the policies does not matter");
    const differential::World world{policies, {{*policy::Address::parse("10.0.0.2")}, {"svc.cluster.local"}}};
    for (const auto &p : policies) {
        check_round_trip(p);
        for (const auto *rules : {&p.allow, &p.deny})
            for (std::size_t i = 0; i < std::min(values_asked, rules->size()); ++i) {
                ask_domains(world, image, (*rules)[i]);
                ask_cidrs(world, image, (*rules)[i]);
            }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string text(data, data + size);
    const auto loaded = policy::load({{"f", text, format}});
    check_diagnostics(loaded.diagnostics, text);
    require(loaded.source_of.size() == loaded.policies.size(), "each policy has its source");
    if (format == policy::Format::json)
        require(!loaded.policies.empty() || !loaded.diagnostics.empty(),
                "JSON text is a policy, or has a fault");
    if (!policy::has_errors(loaded.diagnostics) && !loaded.policies.empty())
        check_accepted(loaded.policies);
    return 0;
}
