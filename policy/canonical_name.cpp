// SPDX-License-Identifier: Apache-2.0
#include "policy/canonical_name.h"

#include "bpf/abi.h"
#include "policy/wording.h"

#include <idn2.h>

#include <algorithm>

namespace penstock::policy {
namespace {

constexpr std::size_t max_label = 63;
constexpr std::size_t max_name = abi::PS_NAME_MAX;
constexpr std::size_t max_written = 4 * max_name; // U-labels are longer as text than as A-labels

bool is_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_name_octet(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

char fold(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// What somebody who wrote this octet into a name had in mind.
Fault octet_fault(std::string_view name, char octet) {
    std::string message = quoted({&octet, 1}) + " cannot stand in a name; expected letters, digits, - and _";
    if (name.find("://") != name.npos)
        message += " (only the host name of a URL goes here)";
    else if (Cidr::parse(name) || octet == '/')
        message += " (addresses and networks go in cidrs)";
    else if (octet == ':')
        message += " (ports go in ports)";
    return {message};
}

// Unicode's own mappings (TR46) are left out: they guess, IDNA 2008 refuses.
Outcome<std::string> to_a_label(std::string_view label) {
    const std::string text(label);
    std::uint8_t *converted = nullptr;
    const int rc = idn2_lookup_u8(reinterpret_cast<const std::uint8_t *>(text.c_str()), &converted,
                                  IDN2_NFC_INPUT | IDN2_NO_TR46);
    if (rc != IDN2_OK)
        return Fault{"label " + quoted(label) + " is no IDNA 2008 label: " + idn2_strerror(rc)};
    std::string out(reinterpret_cast<const char *>(converted));
    idn2_free(converted);
    return out;
}

// The first ASCII octet that no label has. Of U-labels before their conversion too: libidn2 ends a text at a NUL.
const char *foreign_octet(std::string_view label) {
    const auto found = std::find_if(label.begin(), label.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x80 && !is_name_octet(c);
    });
    return found == label.end() ? nullptr : &*found;
}

// Appends the label in canonical form.
Outcome<bool> append_label(std::string &out, std::string_view label, std::string_view whole) {
    if (label.empty())
        return Fault{"an empty label (two dots, or a dot in front)"};
    std::string folded(label);
    std::transform(folded.begin(), folded.end(), folded.begin(), fold);
    if (const char *octet = foreign_octet(folded)) {
        if (*octet == '*')
            return Fault{"* stands only alone (every name) or as the whole first label (*.example.com)"};
        return octet_fault(whole, *octet);
    }
    if (!is_ascii(label)) {
        auto converted = to_a_label(folded);
        if (!converted)
            return converted.error();
        folded = std::move(*converted);
    }
    if (folded.size() > max_label)
        return Fault{"label " + quoted(label) + " has " + std::to_string(folded.size()) +
                     " octets; at most " + std::to_string(max_label) + " are allowed"};
    if (!out.empty())
        out += '.';
    out += folded;
    return true;
}

} // namespace

Outcome<std::string> canonical_name(std::string_view text) {
    if (text.empty() || text == ".")
        return Fault{"an empty name"};
    if (text.size() > max_written)
        return Fault{"longer than " + std::to_string(max_name) + " octets"};
    if (text.back() == '.')
        text.remove_suffix(1);
    if (Address::parse(text))
        return Fault{quoted(text) + " is an address, not a name; addresses go in cidrs"};
    std::string out;
    for (std::size_t at = 0; at <= text.size();) {
        const auto end = std::min(text.find('.', at), text.size());
        const auto appended = append_label(out, text.substr(at, end - at), text);
        if (!appended)
            return appended.error();
        at = end + 1;
    }
    if (out.size() > max_name)
        return Fault{"the name has " + std::to_string(out.size()) + " octets; at most " +
                     std::to_string(max_name) + " are allowed"};
    return out;
}

Outcome<NamePattern> parse_name_pattern(std::string_view text) {
    if (text == "*" || text == "*.")
        return NamePattern{NamePattern::Kind::every, {}};
    const bool below = text.substr(0, 2) == "*.";
    auto name = canonical_name(below ? text.substr(2) : text);
    if (!name)
        return name.error();
    return NamePattern{below ? NamePattern::Kind::below : NamePattern::Kind::exact, std::move(*name)};
}

} // namespace penstock::policy
