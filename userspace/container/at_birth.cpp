// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/at_birth.h"

#include "userspace/container/glob.h"
#include "userspace/container/path.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace penstock::container {
namespace {

// A glob taken apart. `simple`: prefix, wildcard and suffix say it all.
struct Form {
    std::string glob, prefix, suffix;
    std::uint32_t level = 0; // 0: of `**`, and of what is not simple
    bool literal = false, simple = false;
};

std::uint32_t level_of(std::string_view path) {
    return static_cast<std::uint32_t>(components(path).size());
}

Form form_of(const std::string &glob) {
    Form form{glob, glob, "", level_of(glob), true, true};
    const auto wildcard = glob.find_first_of("*?");
    if (wildcard == std::string::npos)
        return form;
    form.literal = false;
    form.prefix = glob.substr(0, wildcard);
    form.suffix = glob.substr(wildcard + 1);
    if (glob.substr(wildcard) == "**" && form.prefix.ends_with('/')) {
        form.suffix.clear();
        form.level = 0;
    } else {
        form.simple = glob[wildcard] == '*' && form.suffix.find_first_of("*?/") == std::string::npos;
    }
    return form;
}

enum class Holds { always, never, sometimes };

// Does `other` hold for the paths of `form`? Only for those that no longer prefix takes away from it: see below.
Holds holds(const Form &other, const Form &form) {
    const bool slice = form.literal && form.prefix.ends_with(".slice");
    if (form.literal) // one path: ask
        return (other.literal || !slice) && glob_match(other.glob, form.prefix) ? Holds::always
                                                                                : Holds::never;
    if (other.glob == form.glob)
        return Holds::always;
    const std::string_view shorter = std::min<std::string_view>(
        other.prefix, form.prefix, [](auto a, auto b) { return a.size() < b.size(); });
    if (!other.prefix.starts_with(shorter) || !form.prefix.starts_with(shorter))
        return Holds::never;
    if (!other.simple)
        return Holds::sometimes;
    if (other.literal || other.prefix.size() > form.prefix.size())
        return Holds::never; // it has a longer entry of its own, which the look-up finds first
    if (other.level == 0)
        return Holds::always;
    if (form.level == 0) // everything below its prefix
        return level_of(form.prefix) >= other.level ? Holds::never : Holds::sometimes;
    if (form.level != other.level)
        return Holds::never;
    if (form.suffix.ends_with(other.suffix))
        return Holds::always;
    return other.suffix.ends_with(form.suffix) ? Holds::sometimes : Holds::never;
}

} // namespace

std::vector<SelectedAtBirth> selected_at_birth(const std::vector<SelectingGlob> &globs) {
    std::map<std::string, Form> forms;
    for (const auto &each : globs)
        forms.emplace(each.glob, form_of(each.glob));
    std::map<std::pair<std::string, bool>, SelectedAtBirth> found;
    for (const auto &[glob, form] : forms) {
        if (!form.simple)
            continue;
        std::set<std::size_t> policies;
        bool certain = true;
        for (const auto &other : globs) {
            const auto answer = holds(forms.at(other.glob), form);
            certain &= answer != Holds::sometimes;
            if (answer == Holds::always)
                policies.insert(other.policy);
        }
        auto &entry = found[{form.prefix, form.literal}];
        certain &= entry.prefix.empty(); // else another form needs the same place
        entry = {form.prefix, form.suffix, form.level, form.literal, {policies.begin(), policies.end()}};
        if (!certain)
            entry.policies.clear();
    }
    std::vector<SelectedAtBirth> result;
    result.reserve(found.size());
    for (auto &[key, entry] : found)
        result.push_back(std::move(entry));
    return result;
}

} // namespace penstock::container
