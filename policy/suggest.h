// SPDX-License-Identifier: Apache-2.0
// From what was denied to the least policy that allows it: a pure function, checked against the oracle before it answers.
//
//  - What the policies in force allow already is left out; what they deny by a deny rule can't be opened by an allow
//    rule and is told, with all else that no policy can allow.
//  - An address that a name taught is suggested as that name. Which of several names of an address was meant can't be told:
//    each that was asked for gets the port.
//  - Least: without any one entry of a rule something recorded is denied again.
//  - Who answers questions teaches addresses: a resolver that the container chose is not suggested, only shown as a comment.
//  - A rule must name ports: a name that was asked for and never reached gets tcp/443, and a comment that it is a guess.
#pragma once

#include "policy/compile.h"

#include <map>
#include <string>
#include <vector>

namespace penstock::policy {

struct Recorded { // one thing that was, or would have been, denied
    enum class Kind : std::uint8_t { question, flow, resolver, other };
    Kind kind = Kind::other;
    std::string name{}; // question: what was asked for; other: the reason's word
    Address remote{};   // flow, resolver
    std::uint8_t protocol = 0;
    std::uint16_t port = 0;             // flow
    std::vector<std::string> learned{}; // flow: names that taught this container the address
    std::uint64_t times = 0;
    std::string first{}, last{}; // when it was seen, as text
};

struct SuggestInput {
    std::string cgroup;                   // the container's path
    std::vector<const Policy *> in_force; // that select it
    std::vector<std::string> names_taken; // of all policies in force
    Environment environment;
    std::vector<Recorded> record;
    std::uint64_t unrecorded = 0; // denials that nobody was told of
    std::size_t fold = 0;         // so many names below one parent become *.parent; 0: none do
};

struct Blocked {
    Recorded what;
    std::string why;
};

struct Suggestion {
    Policy policy;                            // as the text says it
    std::map<std::string, std::string> notes; // by pattern, CIDR or resolver: where it comes from
    std::vector<Blocked> blocked;             // what no policy can allow beside those in force
    std::size_t allowed_already = 0;          // entries of the record
    // That the container chose itself, and how often each was asked: in the text as comments alone.
    std::map<Address, std::uint64_t> own_resolvers;
    std::string text; // YAML with comments
};

Suggestion suggest(const SuggestInput &);

} // namespace penstock::policy
