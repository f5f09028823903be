// SPDX-License-Identifier: Apache-2.0
// How Catch2 prints a Result: include it in tests that REQUIRE one.
#pragma once

#include "userspace/base/result.h"

#include <catch2/catch.hpp>
#include <string>

namespace Catch {
template <class T> struct StringMaker<boost::system::result<T, penstock::Error>> {
    static std::string convert(const boost::system::result<T, penstock::Error> &result) {
        return result ? "a value" : "error: " + result.error().message;
    }
};
} // namespace Catch
