// SPDX-License-Identifier: Apache-2.0
// The one way from a written name to the form that all else compares: lower-case A-labels, no final dot.
#pragma once

#include "policy/model.h"
#include "policy/outcome.h"

#include <string>
#include <string_view>

namespace penstock::policy {

// "Example.COM." -> "example.com"; U-labels by IDNA 2008. Octets of a label: letters, digits, - and _.
// Labels of 1 to 63 octets, at most 253 octets in all. The root ("." or "") is refused.
Outcome<std::string> canonical_name(std::string_view);

// A name, or "*.name", or "*".
Outcome<NamePattern> parse_name_pattern(std::string_view);

} // namespace penstock::policy
