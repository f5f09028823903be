// SPDX-License-Identifier: Apache-2.0
// How a fuzzer says that a promise was broken: one sentence on stderr, then an abort, which libFuzzer keeps with its input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

namespace penstock::fuzz {

[[noreturn]] inline void broken(const std::string &promise) {
    std::fprintf(stderr, "PROPERTY BROKEN: %s\n", promise.c_str());
    std::abort();
}

inline void require(bool holds, const char *promise) {
    if (!holds)
        broken(promise);
}

inline void require_equal(long long got, long long expected, const char *what) {
    if (got != expected)
        broken(std::string(what) + ": got " + std::to_string(got) + ", the naive reader has " +
               std::to_string(expected));
}

} // namespace penstock::fuzz
