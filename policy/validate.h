// SPDX-License-Identifier: Apache-2.0
// The schema to the model: every value typed, every rule of docs/policy.md checked, all faults reported.
// One file a subject: validate.cpp (document, spec), validate_rule.cpp, validate_select.cpp,
// validate_fields.cpp (what several subjects share). Private to the front end.
#pragma once

#include "policy/model.h"
#include "policy/report.h"

namespace penstock::v1 {
class Dns;
class EgressPolicy;
class Limits;
class Rule;
class Selector;
} // namespace penstock::v1

namespace penstock::policy {

// The policy as far as it can be read; use it only if the report got no new error.
Policy validate(const v1::EgressPolicy &, const Where &);

Selector validate_selector(const v1::Selector &, const Where &);
enum class Effect { allow, deny };
Rule validate_rule(const v1::Rule &, Effect, const Where &);
Limits validate_limits(const v1::Limits &, const Where &);
Dns validate_dns(const v1::Dns &, const Where &);

// validate_fields.cpp
// A policy's or rule's name: letters, digits, . _ -, at most 63, a letter or digit first.
void check_identifier(std::string_view, const Where &);
// The position of `value` in `choices`; reports and gives 0 if it is none of them.
int choose(std::string_view value, const std::vector<std::string_view> &choices, const Where &);

} // namespace penstock::policy
