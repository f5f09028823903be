// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/selection.h"

#include "userspace/container/glob.h"
#include "userspace/container/path.h"

#include <utility>

namespace penstock::container {
namespace {

// Only a selector whose every field is built can be decided; fields are ANDed, so one unknown field means no.
std::vector<std::string> unbuilt_fields(const policy::Selector &selector) {
    std::vector<std::string> fields;
    const std::pair<const char *, const std::optional<std::string> &> optional_fields[] = {
        {"runtime", selector.runtime}, {"name", selector.name}, {"image", selector.image},
        {"namespace", selector.ns},    {"pod", selector.pod},   {"unit", selector.unit},
    };
    for (const auto &[name, value] : optional_fields)
        if (value)
            fields.emplace_back(name);
    if (!selector.labels.empty())
        fields.emplace_back("labels");
    return fields;
}

} // namespace

Selection::Selection(const std::vector<policy::Policy> &policies, std::string gate_root, BirthRules birth)
    : gate_root_(std::move(gate_root)), birth_(std::move(birth)) {
    for (std::size_t i = 0; i < policies.size(); ++i)
        for (const auto &selector : policies[i].select)
            if (selector.cgroup && unbuilt_fields(selector).empty())
                globs_.push_back({normal_path(*selector.cgroup), i});
}

std::vector<std::size_t> Selection::policies_of(std::string_view path) const {
    std::vector<std::size_t> found;
    const bool slice = path.ends_with(".slice");
    for (const auto &[glob, policy] : globs_)
        if ((!slice || is_literal(glob)) && (found.empty() || found.back() != policy) &&
            glob_match(glob, path))
            found.push_back(policy);
    return found;
}

// What the birth program does at mkdir, said of a path: `above` is what its parent stands for.
Standing Selection::born(std::string_view path, const Standing &above) const {
    const auto row = [&](Standing::Kind kind, std::uint16_t birth) {
        return Standing{kind, std::string(path), {}, birth};
    };
    for (const auto &root : birth_.strict_roots)
        if (root.text == path)
            return row(Standing::Kind::strict_root, root.policy);
    if (above.kind == Standing::Kind::strict_root)
        return row(Standing::Kind::born, above.birth);
    if (above.kind != Standing::Kind::outside)
        return {Standing::Kind::inner, above.container, {}, abi::PS_POLICY_UNBOUND};
    const BirthRule *longest = nullptr; // as the trie answers; a name is asked before a path
    for (const auto &name : birth_.names)
        if (last_component(path).starts_with(name.text) &&
            (!longest || name.text.size() > longest->text.size()))
            longest = &name;
    const bool named = longest != nullptr;
    for (const auto &prefix : birth_.paths)
        if (!named && path.starts_with(prefix.text) &&
            (!longest || prefix.text.size() > longest->text.size()))
            longest = &prefix;
    return longest ? row(Standing::Kind::born, longest->policy) : Standing{};
}

Standing Selection::standing(std::string_view path) const {
    if (path == "/" || !is_at_or_below(path, gate_root_))
        return {};
    Standing result;
    // From the top down: the first that a policy selects is the container, whatever stands below it.
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const auto prefix = path.substr(0, end);
        const bool self = prefix.size() == path.size();
        if (is_at_or_below(prefix, gate_root_)) {
            if (auto policies = policies_of(prefix); !policies.empty()) {
                if (!self)
                    return {Standing::Kind::inner, std::string(prefix), {}, abi::PS_POLICY_UNBOUND};
                return {Standing::Kind::selected, std::string(prefix), std::move(policies),
                        abi::PS_POLICY_UNBOUND};
            }
            result = born(prefix, result);
        }
        if (self)
            return result;
    }
}

std::vector<std::string> Selection::unbuilt(const policy::Policy &policy) {
    std::vector<std::string> sentences;
    for (std::size_t i = 0; i < policy.select.size(); ++i) {
        std::string names;
        for (const auto &field : unbuilt_fields(policy.select[i]))
            names += (names.empty() ? "" : ", ") + field;
        if (!names.empty())
            sentences.push_back("policy " + policy.name + ": spec.select[" + std::to_string(i) +
                                "] selects NOTHING in this version: only `cgroup` is built, not " + names);
    }
    return sentences;
}

} // namespace penstock::container
