// SPDX-License-Identifier: Apache-2.0
// The parts of suggest, for policy/suggest*.cpp only.
#pragma once

#include "policy/network.h"
#include "policy/suggest.h"

#include <set>

namespace penstock::policy::detail {

using NamesOf = std::map<Address, std::vector<std::string>>; // learned, by address

struct NameNeed {
    std::set<PortRange> ports; // of one port each
    bool is_private = false;   // some of its addresses are
    bool guessed = false;      // nothing was sent to it: its port is a guess
    std::uint64_t asked = 0, reached = 0;
    std::set<std::string> folded; // names that this pattern stands for
};
struct AddressNeed {
    std::set<PortRange> ports;
    std::uint64_t reached = 0;
};

// What must be allowed, by pattern and by address.
struct Draft {
    std::map<NamePattern, NameNeed> names;
    std::map<Address, AddressNeed> addresses;
};

struct DraftInput {
    std::vector<const Recorded *> record;
    std::vector<std::string> search; // suffixes that the container will have
    const Image *now = nullptr;      // in force; null: nothing
    const NamesOf *learned = nullptr;
    std::size_t fold = 0;
};
Draft draft_of(const DraftInput &);

// Names that teach `flow` something a policy could use.
std::vector<std::string> usable_names(const Recorded &flow, const Image *now);

// The port of a flow, as a rule names it; none: no rule can.
std::optional<PortRange> port_of(const Recorded &flow);

// Neighbouring ports as ranges, sorted.
std::vector<PortRange> ranges_of(const std::set<PortRange> &);
std::string times(std::uint64_t count); // "once", "3 times"

void fold_names(Draft &, std::size_t at_least);

struct Item {
    std::vector<std::string> names; // any one of them will do
    std::optional<PortRange> port;  // none: a question
    bool is_private = false;
};
// Takes away each name without which no item is denied.
void drop_needless(Draft &, const std::vector<Item> &, const std::vector<std::string> &search);

std::string suggestion_text(const SuggestInput &, const Suggestion &);

} // namespace penstock::policy::detail
