// SPDX-License-Identifier: Apache-2.0
// The policy under which the kernel tests teach addresses: every name, every resolver, private addresses too.
#pragma once

#include "policy/compile.h"

namespace penstock::differential {

inline policy::Image teacher() {
    policy::Policy policy;
    policy.name = "teacher";
    policy.dns.resolvers_any = true;
    policy.dns.learn_private = true;
    policy.allow.resize(1);
    policy.allow[0].name = "every";
    policy.allow[0].domains = {{policy::NamePattern::Kind::every, ""}};
    return policy::compile({&policy}, {});
}

} // namespace penstock::differential
