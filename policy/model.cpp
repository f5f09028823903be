// SPDX-License-Identifier: Apache-2.0
// Owns Policy::unenforced(): which validated fields this version does not enforce. Remove a field from here
// in the change that enforces it, and nowhere else.
#include "policy/model.h"

namespace penstock::policy {
namespace {

void add_limits(std::vector<std::string> &out, const std::string &prefix, const Limits &limits) {
    const auto add = [&](bool given, const char *field) {
        if (given)
            out.push_back(prefix + field);
    };
    add(limits.egress.has_value(), "limits.egress");
    add(limits.ingress.has_value(), "limits.ingress");
    add(limits.connections.has_value(), "limits.connections");
    add(limits.packets.has_value(), "limits.packets");
    add(limits.quota.has_value(), "limits.quota");
}

} // namespace

std::vector<std::string> Policy::unenforced() const {
    std::vector<std::string> out;
    if (dns.queries)
        out.emplace_back("dns.queries");
    for (std::size_t i = 0; i < allow.size(); ++i)
        add_limits(out, "allow[" + std::to_string(i) + "].", allow[i].limits);
    add_limits(out, "", limits);
    return out;
}

} // namespace penstock::policy
