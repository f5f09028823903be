// SPDX-License-Identifier: Apache-2.0
// What was denied, to what must be allowed: each question to a name, each flow to its names or its address.
#include "policy/suggest_draft.h"

#include "policy/canonical_name.h"
#include "policy/explain.h"

#include <algorithm>

namespace penstock::policy::detail {
namespace {

constexpr PortRange guessed_port{Protocol::tcp, 443, 443};

// A name that a resolver made by appending a suffix stands for the name before it, if that is wanted too: a policy allows
// both with one.
std::string without_suffix(const std::string &name, const std::vector<std::string> &search,
                           const std::set<std::string> &wanted) {
    for (const auto &suffix : search)
        if (name.size() > suffix.size() + 1 && name.ends_with("." + suffix))
            if (auto base = name.substr(0, name.size() - suffix.size() - 1); wanted.contains(base))
                return base;
    return name;
}

NamePattern exactly(const std::string &name) {
    return {NamePattern::Kind::exact, name};
}

class Drafting {
  public:
    explicit Drafting(const DraftInput &input) : input_(input) {
        for (const auto *entry : input_.record)
            if (entry->kind == Recorded::Kind::question && !reverse_address(entry->name))
                asked_.insert(entry->name);
    }

    Draft draft() {
        for (const auto *entry : input_.record)
            if (entry->kind == Recorded::Kind::question && !reverse_address(entry->name))
                ask(*entry);
            else if (entry->kind == Recorded::Kind::flow)
                reach(*entry);
        for (auto &[pattern, need] : draft_.names)
            if (need.ports.empty()) {
                need.guessed = true;
                need.ports.insert(guessed_port);
            }
        if (input_.fold > 0)
            fold_names(draft_, input_.fold);
        drop_needless(draft_, items_, input_.search);
        for (const auto *entry : input_.record)
            if (entry->kind == Recorded::Kind::question)
                if (const auto address = reverse_address(entry->name);
                    address && !may_reach(*address) && !is_named(entry->name))
                    ask_reverse(*entry);
        drop_needless(draft_, items_, input_.search); // one of those and a search suffix may be another name
        return std::move(draft_);
    }

  private:
    void ask(const Recorded &question) {
        const auto name = without_suffix(question.name, input_.search, asked_);
        draft_.names[exactly(name)].asked += question.times;
        items_.push_back({{name}, std::nullopt, false});
    }

    void reach(const Recorded &flow) {
        const auto port = port_of(flow);
        if (!port)
            return;
        std::vector<std::string> names, wanted;
        for (const auto &name : usable_names(flow, input_.now))
            names.push_back(without_suffix(name, input_.search, asked_));
        if (names.empty()) {
            auto &need = draft_.addresses[flow.remote];
            need.ports.insert(*port);
            need.reached += flow.times;
            return;
        }
        std::copy_if(names.begin(), names.end(), std::back_inserter(wanted),
                     [&](const auto &name) { return asked_.contains(name); });
        const bool is_private = flow.remote.is_private();
        for (const auto &name : wanted.empty() ? names : wanted) {
            auto &need = draft_.names[exactly(name)];
            need.ports.insert(*port);
            need.is_private = need.is_private || is_private;
            need.reached += flow.times;
        }
        items_.push_back({std::move(names), *port, is_private});
    }

    // Reverse names of addresses that may be reached need no rule.
    bool may_reach(const Address &address) const {
        if (draft_.addresses.contains(address))
            return true;
        if (address.is_never_learned())
            return false;
        const auto names = input_.learned->find(address);
        return names != input_.learned->end() &&
               std::any_of(names->second.begin(), names->second.end(), [&](const auto &written) {
                   const auto name = without_suffix(written, input_.search, asked_);
                   return std::any_of(draft_.names.begin(), draft_.names.end(), [&](const auto &entry) {
                       return entry.first.matches(name) && (!address.is_private() || entry.second.is_private);
                   });
               });
    }

    bool is_named(const std::string &name) const {
        return std::any_of(draft_.names.begin(), draft_.names.end(),
                           [&](const auto &entry) { return entry.first.matches(name); });
    }

    void ask_reverse(const Recorded &question) {
        auto &need = draft_.names[exactly(question.name)];
        need.asked += question.times;
        need.guessed = true;
        need.ports.insert(guessed_port);
        items_.push_back({{question.name}, std::nullopt, false});
    }

    const DraftInput &input_;
    std::set<std::string> asked_;
    std::vector<Item> items_;
    Draft draft_;
};

} // namespace

std::vector<std::string> usable_names(const Recorded &flow, const Image *now) {
    std::vector<std::string> names;
    if (flow.remote.is_never_learned())
        return names;
    for (const auto &name : flow.learned) {
        const auto canonical = canonical_name(name);
        const auto match = now ? find_name(*now, name) : std::nullopt;
        if (canonical && *canonical == name && !(match && match->verdict == abi::PS_DENY))
            names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

std::optional<PortRange> port_of(const Recorded &flow) {
    constexpr std::uint8_t icmp = 1, tcp = 6, udp = 17, icmp6 = 58;
    if (flow.protocol == (flow.remote.is_v4() ? icmp : icmp6))
        return PortRange{Protocol::icmp, 0, 0};
    if ((flow.protocol != tcp && flow.protocol != udp) || flow.port == 0)
        return std::nullopt;
    return PortRange{flow.protocol == tcp ? Protocol::tcp : Protocol::udp, flow.port, flow.port};
}

Draft draft_of(const DraftInput &input) {
    return Drafting(input).draft();
}

} // namespace penstock::policy::detail
