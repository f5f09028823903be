// SPDX-License-Identifier: Apache-2.0
// The verdict the kernel must give, from the image alone: the oracle of the differential tests and the
// answer of `penstock explain`. Written apart from bpf/lib on purpose: it shares only abi.h.
#pragma once

#include "policy/compile.h"

#include <optional>
#include <string>
#include <vector>

namespace penstock::policy {

struct LearnedName {  // a name that taught this address to this container
    std::string name; // canonical
    bool expired = false;
};

struct Flow { // a new flow, egress, not on port 53 of anything
    Address remote;
    std::uint8_t protocol = 6;        // IPPROTO_*
    std::uint16_t port = 0;           // icmp: 0
    std::vector<LearnedName> learned; // of `remote`, in the order learned
};

struct Verdict {
    abi::ps_verdict verdict = abi::PS_DENY; // with the mode applied: ALLOW, DENY or WOULD_DENY
    abi::ps_reason reason = abi::PS_R_NO_RULE;
    std::uint64_t rule = 0;
    std::string name;              // the pattern or learned name or CIDR that decided, for people
    std::vector<std::string> path; // one sentence a gate, in order, for people
};

// Order: loopback; protocol; CIDR rule set; learned rule sets in order. Any deny wins (the CIDR's first, then
// the learned in order); else the first allow in the same order; else default deny. A learned name counts while it
// has not expired and a query for it is allowed; its rule_set or private_set counts, by the kind of `remote`.
Verdict explain(const Image &, const Flow &);

// A DNS question. `resolver` is where it is sent; `learned` is for reverse names: the names learned for the address
// that the PTR name stands for (empty if none). Order: resolver; name; the reverse name's address, its CIDRs first.
struct Question {
    std::string name; // canonical, "" for the root
    Address resolver;
    std::vector<LearnedName> learned;
};
Verdict explain(const Image &, const Question &);

// The image's entry for a name or an address: the longest match, none if nothing holds it.
std::optional<abi::ps_match> find_name(const Image &, std::string_view canonical_name);
std::optional<abi::ps_match> find_address(const Image &, const Address &);
std::optional<abi::ps_port_rule> find_port(const Image &, std::uint64_t rule_set, std::uint8_t protocol,
                                           std::uint16_t port);

// The address a name under in-addr.arpa or ip6.arpa stands for; none if it is no whole address (then it is a name
// like any other).
std::optional<Address> reverse_address(std::string_view canonical_name);

} // namespace penstock::policy
