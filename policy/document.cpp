// SPDX-License-Identifier: Apache-2.0
#include "policy/document.h"

namespace penstock::policy {

const char *Node::describe() const {
    switch (kind) {
    case Kind::empty:
        return "nothing";
    case Kind::text:
        return "text";
    case Kind::number:
        return "a number";
    case Kind::boolean:
        return "a truth value";
    case Kind::list:
        return "a list";
    case Kind::map:
        return "a mapping";
    case Kind::faulty:
        break;
    }
    return "a fault";
}

Place place_of(std::string_view text, std::size_t offset) {
    const auto before = text.substr(0, offset);
    const auto line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
    int line = 1;
    for (const char c : before)
        line += c == '\n';
    return {line, static_cast<int>(before.size() - line_start) + 1};
}

} // namespace penstock::policy
