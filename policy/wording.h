// SPDX-License-Identifier: Apache-2.0
// The words of diagnostics: how text is quoted, what near misses are suggested.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::policy {

// "text", made fit for one line of a terminal: control characters escaped, long text cut.
std::string quoted(std::string_view);

// `; did you mean "ports"?` if `word` is nearly one of `known`, else "". `found` gets the near miss.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view> &known,
                         std::string_view *found = nullptr);
// "a, b or c"
std::string any_of(const std::vector<std::string_view> &);

} // namespace penstock::policy
