// SPDX-License-Identifier: Apache-2.0
// Which canonical names a domain pattern holds.
#include "policy/model.h"

#include <string_view>

namespace penstock::policy {

bool NamePattern::matches(std::string_view canonical_name) const {
    switch (kind) {
    case Kind::exact:
        return canonical_name == name;
    case Kind::below: // one or more labels and a dot before the name: never the name itself
        return canonical_name.size() > name.size() + 1 && canonical_name.ends_with(name) &&
               canonical_name[canonical_name.size() - name.size() - 1] == '.';
    case Kind::every:
        return true;
    }
    return false;
}

std::string NamePattern::text() const {
    switch (kind) {
    case Kind::exact:
        return name;
    case Kind::below:
        return "*." + name;
    case Kind::every:
        return "*";
    }
    return {};
}

} // namespace penstock::policy
