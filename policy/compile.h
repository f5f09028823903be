// SPDX-License-Identifier: Apache-2.0
// The policies that select one container, compiled into what the kernel's maps will hold for it.
// Pure and deterministic: equal input, equal image, equal ids, on every host and after every restart.
//
// Semantics (docs/policy.md says the same to users):
//  - Allows unite, denies unite, deny beats allow, enforce beats audit, `deny` beats `allow` for inbound
//    and loopback, the largest minTTL holds, resolvers and search lists unite.
//  - A rule set is a set of rules, identified by a 64-bit hash of its content; equal content, equal id,
//    also across policies. Its `ports` say for each protocol and port which rule decides: the first deny
//    rule by (policy name, position), else the first allow rule. No entry: none of its rules names it.
//  - Every name key holds the union of the rules of all patterns that match the names under it; likewise every
//    CIDR key of all CIDRs that contain it. So one longest-prefix look-up is exact.
//  - ps_match.verdict of a name is the verdict of the *query*: DENY with the first deny rule that has no
//    `ports` and matches, else ALLOW with the first allow rule, else NONE (only denies with ports match).
//    Of an address it says whether it may be reached at all (reverse look-ups): DENY by a deny rule
//    without `ports`, else ALLOW if some allow rule holds it, else NONE.
//  - rule_set counts for public addresses. private_set counts for private ones: the same denies, and of the
//    allow rules those that learn private addresses; 0 if no such allow rule is left. For CIDR keys it is 0.
//  - Limits are of allow rules, and of the container: of each kind the strictest of all policies. Of rates the one that
//    brings less in the same time, then the smaller burst; of quotas that of fewer octets in the same time, then of fewer
//    octets, and it counts the directions of all. spec.dns.queries is a limit of the container like spec.limits.queries.
//  - Bursts: octets at least 144 KiB, packets at least 64: see bucket.h. Not given: what 100 ms bring, but that least; of
//    connections and queries what one period brings.
//  - Each search suffix s adds, for every exact d, d.s, and for every *.d, *.d.s, with the same rule,
//    allow and deny alike; results over 253 octets are left out.
#pragma once

#include "bpf/abi.h"
#include "policy/model.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace penstock::policy {

struct Environment { // what a policy leaves to the host
    std::vector<Address> resolvers;
    std::vector<std::string> search; // canonical names
};

struct NameEntry {
    std::string reversed; // "moc.elpmaxe" + '\0' (exact), "moc.elpmaxe." (below), "" (every)
    abi::ps_match match;
};
struct CidrEntry {
    Cidr cidr;
    abi::ps_match match;
};
struct PortEntry {         // one prefix of the ports trie
    std::uint8_t protocol; // IPPROTO_*
    std::uint16_t port;
    std::uint8_t prefix_bits; // 0..16 bits of the port that count
    abi::ps_port_rule rule;
};
struct RuleInfo {
    std::string policy, rule;
    bool allow = false;
};

struct Image {
    abi::ps_policy settings{};      // generation 0: sync gives it; content_hash is of all below
    std::vector<Address> resolvers; // sorted, unique
    std::vector<NameEntry> names;   // most specific first: a safe order to write
    std::vector<CidrEntry> cidrs;   // most specific first
    std::map<std::uint64_t, std::vector<PortEntry>> rule_sets;
    std::map<std::uint64_t, abi::ps_limits> limits; // by rule id; 0: of the container
    std::map<std::uint64_t, Limits> limits_written; // the same, for people
    std::map<std::uint64_t, RuleInfo> rules;        // by rule id: hash of policy and rule name, never 0
    std::vector<std::string> policies;              // names, sorted
};

// `selected`: the policies that select the container; not empty. Order does not matter.
Image compile(const std::vector<const Policy *> &selected, const Environment &);

std::uint64_t rule_id(std::string_view policy, std::string_view rule);

} // namespace penstock::policy
