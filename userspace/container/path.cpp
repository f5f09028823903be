// SPDX-License-Identifier: Apache-2.0
#include "userspace/container/path.h"

namespace penstock::container {

std::vector<std::string_view> components(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const auto slash = path.find('/');
        if (const auto part = path.substr(0, slash); !part.empty())
            parts.push_back(part);
        if (slash == std::string_view::npos)
            break;
        path.remove_prefix(slash + 1);
    }
    return parts;
}

std::string normal_path(std::string_view path) {
    std::string normal;
    for (const auto part : components(path)) {
        normal += '/';
        normal += part;
    }
    return normal.empty() ? "/" : normal;
}

std::string child_path(std::string_view parent, std::string_view name) {
    std::string child(parent == "/" ? "" : parent);
    child += '/';
    child += name;
    return child;
}

std::string parent_path(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos || slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string_view last_component(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_at_or_below(std::string_view path, std::string_view ancestor) {
    if (ancestor == "/")
        return true;
    return path.starts_with(ancestor) && (path.size() == ancestor.size() || path[ancestor.size()] == '/');
}

} // namespace penstock::container
