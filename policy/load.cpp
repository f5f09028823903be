// SPDX-License-Identifier: Apache-2.0
#include "policy/load.h"

#include "policy/parse.h"
#include "policy/validate.h"
#include "policy/wording.h"

#include <algorithm>
#include <unordered_map>

namespace penstock::policy {
namespace {

struct NameSite {
    std::string file;
    Place place;
};
using Names = std::unordered_map<std::string, NameSite>;

std::string text_of(const NameSite &site) {
    if (!site.place.line)
        return site.file;
    return site.file + ":" + std::to_string(site.place.line) + ":" + std::to_string(site.place.column);
}

Where root_of(const Parsed &parsed, Report &report) {
    if (parsed.item < 0)
        return Where(report, &parsed.places);
    return Where(report, nullptr).field("items").item(parsed.item);
}

void load_source(const Source &source, Names &names, Loaded &loaded) {
    const auto first = static_cast<std::ptrdiff_t>(loaded.diagnostics.size());
    Report report(source.file, loaded.diagnostics);
    for (const Parsed &parsed : parse(source, report)) {
        const auto before = report.errors();
        const Where root = root_of(parsed, report);
        Policy policy = validate(parsed.message, root);
        if (!policy.name.empty()) {
            const Where name = root.field("metadata").field("name");
            const auto [site, fresh] = names.emplace(policy.name, NameSite{source.file, name.place()});
            if (!fresh)
                name.error("the name " + quoted(policy.name) + " is taken by the policy at " +
                           text_of(site->second));
        }
        if (report.errors() == before && !parsed.faulty)
            loaded.policies.push_back(std::move(policy));
    }
    std::stable_sort(loaded.diagnostics.begin() + first, loaded.diagnostics.end(),
                     [](const Diagnostic &a, const Diagnostic &b) {
                         return std::pair(a.line, a.column) < std::pair(b.line, b.column);
                     });
}

} // namespace

Loaded load(const std::vector<Source> &sources) {
    Loaded loaded;
    Names names;
    for (std::size_t i = 0; i < sources.size(); i++) {
        load_source(sources[i], names, loaded);
        loaded.source_of.resize(loaded.policies.size(), i);
    }
    return loaded;
}

Format format_of(std::string_view file_name) {
    const auto dot = file_name.rfind('.');
    const auto extension = dot == file_name.npos ? std::string_view{} : file_name.substr(dot);
    if (extension == ".json")
        return Format::json;
    if (extension == ".pb")
        return Format::protobuf;
    return Format::yaml;
}

} // namespace penstock::policy
