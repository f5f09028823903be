// SPDX-License-Identifier: Apache-2.0
// What resolv.conf(5) says of resolvers and search suffixes: the defaults of policies that give none. Pure.
#pragma once

#include "policy/compile.h"

#include <string_view>

namespace penstock::daemon {

// Docker's embedded resolver is always among the resolvers: a container behind it uses no other. As in libc the
// last `search` or `domain` line counts; a suffix "." and what is no host name are left out.
policy::Environment environment_of(std::string_view resolv_conf);

} // namespace penstock::daemon
