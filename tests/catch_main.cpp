// SPDX-License-Identifier: Apache-2.0
// The main() of every Catch2 test program; compiled once because it is slow to compile.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
