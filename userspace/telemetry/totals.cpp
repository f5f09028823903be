// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/totals.h"

#include "policy/wording.h"

#include <cerrno>
#include <sstream>

namespace penstock::telemetry {
namespace {

constexpr std::string_view first_line = "penstock totals 1";

} // namespace

void Totals::add(const Key &key, const Sum &sum, const RuleName *name) {
    auto &total = sums_[key];
    total.packets += sum.packets;
    total.bytes += sum.bytes;
    if (name && key.rule != 0)
        names_[key.rule] = *name;
}

const Totals::RuleName *Totals::name(std::uint64_t rule) const {
    const auto found = names_.find(rule);
    return found == names_.end() ? nullptr : &found->second;
}

// Lines of words; the names of policies and rules have no blank or newline of their own except in a rule's
// given name, so that one is the rest of its line.
std::string Totals::text() const {
    std::ostringstream out;
    out << first_line << '\n';
    for (const auto &[key, sum] : sums_)
        out << "sum " << key.rule << ' ' << +key.direction << ' ' << +key.verdict << ' ' << +key.reason << ' '
            << sum.packets << ' ' << sum.bytes << '\n';
    for (const auto &[rule, name] : names_)
        out << "rule " << rule << ' ' << name.policy << ' ' << name.rule << '\n';
    for (const auto &[slot, serial] : pending_)
        out << "pending " << slot << ' ' << serial << '\n';
    out << "end\n"; // a file cut short is seen
    return out.str();
}

Result<Totals> Totals::parse(std::string_view text) {
    std::istringstream in{std::string(text)};
    std::string line;
    if (!std::getline(in, line) || line != first_line)
        return fault("read totals: not a file of totals");
    Totals totals;
    while (std::getline(in, line) && line != "end") {
        std::istringstream words(line);
        std::string kind;
        words >> kind;
        if (kind == "sum") {
            Key key;
            Sum sum;
            unsigned direction = 0, verdict = 0, reason = 0;
            words >> key.rule >> direction >> verdict >> reason >> sum.packets >> sum.bytes;
            key.direction = static_cast<std::uint8_t>(direction);
            key.verdict = static_cast<std::uint8_t>(verdict);
            key.reason = static_cast<std::uint8_t>(reason);
            totals.sums_[key] = sum;
        } else if (kind == "rule") {
            std::uint64_t rule = 0;
            RuleName name;
            words >> rule >> name.policy >> std::ws;
            std::getline(words, name.rule);
            totals.names_[rule] = name;
        } else if (kind == "pending") {
            Slot slot;
            words >> slot.first >> slot.second;
            totals.pending_.insert(slot);
        } else {
            words.setstate(std::ios::failbit);
        }
        if (words.fail())
            return fault("read totals: bad line " + policy::quoted(line));
    }
    if (line != "end")
        return fault("read totals: the file is cut short");
    return totals;
}

} // namespace penstock::telemetry
