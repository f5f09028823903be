// SPDX-License-Identifier: Apache-2.0
// Seeded random policies, flows and questions over a universe so small that overlaps, nestings, near misses and edges
// are the rule, not the exception. The same seed gives the same sequence on every host.
#pragma once

#include "policy/bucket.h"
#include "tests/differential/naive.h"

#include <random>
#include <string>

namespace penstock::differential {

class Generator {
  public:
    explicit Generator(std::uint64_t seed) : random_(seed) {}

    World world();
    void limit(World &); // gives its policies and rules limits, or other ones
    policy::Limits limits();
    policy::Flow flow(const World &);
    policy::Question question(const World &);
    std::size_t below(std::size_t limit) { return random_() % limit; }
    bool chance(unsigned percent) { return below(100) < percent; }

  private:
    std::string name();
    std::string name_near(const World &);
    std::string reverse_name();
    policy::Address address();
    policy::Address address_near(const World &);
    policy::Cidr cidr();
    policy::PortRange port_range();
    void make_dns(const World &, policy::Flow &);
    std::uint16_t port();
    policy::Rule rule(std::string name, bool allow);
    policy::Rate rate(policy::Quantity);
    policy::Quota quota();
    policy::Policy a_policy(std::string name);
    std::vector<policy::LearnedName> learned(const World &);

    std::mt19937_64 random_;
};

// The seed of this run: PENSTOCK_SEED, else (and for 0) a fresh one. Print it.
std::uint64_t run_seed();

// For the report of a difference.
std::string describe(const World &);
std::string describe(const policy::Flow &);
std::string describe(const policy::Question &);
std::string describe(const Answer &);

} // namespace penstock::differential
