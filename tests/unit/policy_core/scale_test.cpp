// SPDX-License-Identifier: Apache-2.0
// Large policies compile fast and without a quadratic step: time per entry must not grow with their number.
#include "policy/compile.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <iostream>
#include <string>

using namespace penstock;
using namespace penstock::policy;

namespace {

Policy with_domains(std::size_t count) {
    Policy policy;
    policy.name = "p";
    policy.allow.resize(1);
    policy.allow[0].name = "all";
    for (std::size_t i = 0; i < count; ++i)
        policy.allow[0].domains.push_back(
            {i % 4 ? NamePattern::Kind::exact : NamePattern::Kind::below,
             "host" + std::to_string(i * 7919 % count) + ".zone" + std::to_string(i % 97) + ".example.com"});
    return policy;
}

Policy with_cidrs(std::size_t count) {
    Policy policy;
    policy.name = "p";
    for (std::size_t i = 0; i < count; ++i) { // a rule each, so that no two lists are the same
        Rule rule;
        rule.name = std::to_string(i);
        rule.cidrs = {
            *Cidr::parse("10." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) + ".0/24")};
        policy.allow.push_back(rule);
    }
    policy.allow.back().cidrs.push_back(*Cidr::parse("0.0.0.0/0"));
    return policy;
}

double seconds_to_compile(const Policy &policy, std::size_t at_least) {
    const auto start = std::chrono::steady_clock::now();
    const auto image = compile({&policy}, Environment{{}, {"svc.cluster.local", "cluster.local", "local"}});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(image.names.size() + image.cidrs.size() >= at_least);
    return took.count();
}

} // namespace

TEST_CASE(
    "100,000 domains with search suffixes and 10,000 CIDRs compile in seconds even without optimisation") {
    const auto domains = seconds_to_compile(with_domains(100000), 300000);
    const auto cidrs = seconds_to_compile(with_cidrs(10000), 10000);
    std::cout << "100,000 domains, 3 suffixes: " << domains << " s; 10,000 CIDRs: " << cidrs << " s\n";
    CHECK(domains < 20); // a quadratic step takes minutes; sanitizers and a busy machine take a few seconds
    CHECK(cidrs < 20);
}
