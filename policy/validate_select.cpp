// SPDX-License-Identifier: Apache-2.0
// Selectors: what may stand in the globs that name containers.
#include "policy/proto/policy.pb.h"
#include "policy/validate.h"
#include "policy/wording.h"

#include <algorithm>

namespace penstock::policy {
namespace {

constexpr std::size_t max_glob = 4096; // a path of the kernel is no longer
constexpr int max_labels = 64;

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return octet < 0x20 || octet == 0x7f;
    });
}

// Faults of any glob. Classes and braces are refused so that they can get a meaning later.
bool check_text(std::string_view text, const Where &where) {
    if (text.empty())
        where.error("an empty pattern; leave the field out, or use * for any");
    else if (text.size() > max_glob)
        where.error("the pattern is longer than " + std::to_string(max_glob) + " octets");
    else if (has_control_character(text))
        where.error(quoted(text) + " has a control character");
    else
        return true;
    return false;
}

bool check_glob(std::string_view text, const Where &where) {
    if (!check_text(text, where))
        return false;
    if (const auto at = text.find_first_of("[]{}"); at != text.npos) {
        where.error(quoted(text.substr(at, 1)) + " is not supported in a pattern; expected text, * and ?");
        return false;
    }
    return true;
}

void check_plain_glob(std::string_view text, const Where &where) {
    if (check_glob(text, where) && text.find("**") != text.npos)
        where.error("** is for cgroup only; expected *");
}

void check_component(std::string_view component, const Where &where) {
    if (component.empty())
        where.error("an empty path component (// or a / at the end)");
    else if (component == "." || component == "..")
        where.error(quoted(component) + " cannot stand in a cgroup path");
    else if (component.find("**") != component.npos && component != "**")
        where.error(quoted(component) + ": ** stands only as a whole path component");
}

void check_cgroup(std::string_view text, const Where &where) {
    if (!check_glob(text, where))
        return;
    if (text[0] != '/')
        return where.error("a cgroup path starts with /, as in \"/penstock.slice/**\"");
    if (text == "/")
        return where.error("/ is the root of all cgroups, no container; use /** for every container");
    const auto before = where.report().errors();
    for (std::size_t at = 1; at <= text.size() && where.report().errors() == before;) {
        const auto end = std::min(text.find('/', at), text.size());
        check_component(text.substr(at, end - at), where);
        at = end + 1;
    }
}

void check_labels(const v1::Selector &message, const Where &where) {
    if (message.labels_size() > max_labels)
        return where.error("more than " + std::to_string(max_labels) + " labels");
    for (const auto &[key, value] : message.labels()) {
        if (key.empty())
            where.field(key).error("a label without a name");
        else if (has_control_character(key))
            where.field(key).error("the label's name has a control character");
        if (!value.empty())
            check_text(value, where.field(key)); // an empty label value is a value
        if (value.find("**") != value.npos)
            where.field(key).error("** is for cgroup only; expected *");
    }
}

} // namespace

Selector validate_selector(const v1::Selector &message, const Where &where) {
    Selector selector;
    const bool empty = !message.has_cgroup() && !message.has_runtime() && !message.has_name() &&
                       !message.has_image() && !message.has_namespace_() && !message.has_pod() &&
                       !message.has_unit() && message.labels().empty();
    const auto text = [&](bool given, const char *field, const std::string &value,
                          std::optional<std::string> &into) {
        if (!given)
            return;
        check_plain_glob(value, where.field(field));
        into = value;
    };
    if (message.has_cgroup()) {
        check_cgroup(message.cgroup(), where.field("cgroup"));
        selector.cgroup = message.cgroup();
    }
    text(message.has_runtime(), "runtime", message.runtime(), selector.runtime);
    text(message.has_name(), "name", message.name(), selector.name);
    text(message.has_image(), "image", message.image(), selector.image);
    text(message.has_namespace_(), "namespace", message.namespace_(), selector.ns);
    text(message.has_pod(), "pod", message.pod(), selector.pod);
    text(message.has_unit(), "unit", message.unit(), selector.unit);
    check_labels(message, where.field("labels"));
    selector.labels.insert(message.labels().begin(), message.labels().end());
    if (empty && !where.any_field_faulty())
        where.error("an empty entry would select every container; say so with {cgroup: /**}");
    return selector;
}

} // namespace penstock::policy
