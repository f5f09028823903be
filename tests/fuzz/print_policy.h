// SPDX-License-Identifier: Apache-2.0
// A policy as JSON text that must load as the same policy. The product has no such printer, as it keeps the author's text.
#pragma once

#include "policy/model.h"

#include <string>

namespace penstock::fuzz {

std::string print(const policy::Policy &);

} // namespace penstock::fuzz
