// SPDX-License-Identifier: Apache-2.0
// How a diagnostic reads, and what near misses are suggested.
#include "policy/diagnostic.h"
#include "policy/wording.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;

TEST_CASE("a diagnostic leaves out what it does not know") {
    CHECK(Diagnostic{Diagnostic::Severity::error, "f", 3, 4, "spec.x", "m"}.text() ==
          "f:3:4: error: spec.x: m");
    CHECK(Diagnostic{Diagnostic::Severity::warning, "f", 0, 0, "", "m"}.text() == "f: warning: m");
    CHECK_FALSE(has_errors({Diagnostic{Diagnostic::Severity::warning, "f", 0, 0, "", "m"}}));
}

TEST_CASE("suggestions are near, and none is better than a far one") {
    const std::vector<std::string_view> words = {"select", "allow", "deny", "ports"};
    CHECK(did_you_mean("slect", words) == "; did you mean \"select\"?");
    CHECK(did_you_mean("prots", words) == "; did you mean \"ports\"?");
    CHECK(did_you_mean("DENY", words) == "; did you mean \"deny\"?");
    CHECK(did_you_mean("colour", words).empty());
    CHECK(did_you_mean("", words).empty());
    CHECK(did_you_mean(std::string(100'000, 'a'), words).empty());
    CHECK(any_of(words) == "select, allow, deny or ports");
}

TEST_CASE("quoted text is one short line") {
    CHECK(quoted("a\nb") == "\"a\\x0ab\"");
    CHECK(quoted(std::string(200, 'x')).size() == 85);
    CHECK(quoted(std::string(79, 'x') + "üx") == "\"" + std::string(79, 'x') + "ü...\"");
}
