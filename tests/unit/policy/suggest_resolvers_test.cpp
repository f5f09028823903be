// SPDX-License-Identifier: Apache-2.0
// Resolvers in suggestions: who answers questions teaches addresses, so none is opened because a container asked it.
#include "policy/suggest.h"
#include "tests/unit/policy/front_helpers.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace penstock::policy;
using penstock::policy::test::faults;
using penstock::policy::test::load_text;

namespace {

Recorded asked(const Address &resolver, std::uint64_t times) {
    Recorded entry{Recorded::Kind::resolver, "", resolver};
    entry.times = times;
    return entry;
}

Dns dns_of(const std::string &text) {
    const auto loaded = load_text(text);
    INFO(text << faults(loaded));
    REQUIRE(loaded.policies.size() == 1);
    return loaded.policies[0].dns;
}

// As a reader does who allows what stands in a comment below `spec`.
std::string without_comment_marks(std::string text) {
    for (const std::string before : {"\n  # ", "\n      # "})
        for (std::size_t at = 0; (at = text.find(before, at)) != std::string::npos;)
            text.erase(at + before.size() - 2, 2);
    return text;
}

} // namespace

TEST_CASE("a resolver that the container chose is shown as a comment, and nothing opens it") {
    const auto own = *Address::parse("192.0.2.53"), hosts = *Address::parse("10.0.0.9");
    const auto now = test::policy_of("  dns: {resolvers: [10.0.0.2]}\n  mode: audit\n  "
                                     "allow: [{domains: [a.test], ports: [tcp/443]}]\n");
    SuggestInput input;
    input.cgroup = "/x";
    input.environment.resolvers = {hosts};
    input.record = {asked(own, 3), asked(hosts, 1)}; // the host's: what a birth verdict notes
    const bool has_own_list = GENERATE(false, true);
    if (has_own_list)
        input.in_force = {&now};
    const auto suggestion = suggest(input);
    INFO(suggestion.text);
    const auto dns = dns_of(suggestion.text);
    CHECK(dns.resolvers.has_value() == has_own_list);
    if (has_own_list)
        CHECK(*dns.resolvers == std::vector<Address>{*Address::parse("10.0.0.2")});
    REQUIRE(suggestion.blocked.size() == (has_own_list ? 2 : 1));
    CHECK(suggestion.blocked[0].why == "the container chose this resolver itself");
    CHECK(suggestion.text.find("# asked 3 times; the container chose it") != std::string::npos);
    const auto opened = *dns_of(without_comment_marks(suggestion.text)).resolvers;
    CHECK(std::find(opened.begin(), opened.end(), own) != opened.end());
    CHECK((has_own_list || std::find(opened.begin(), opened.end(), hosts) != opened.end()));
}
