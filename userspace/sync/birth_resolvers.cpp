// SPDX-License-Identifier: Apache-2.0
// PolicyWriter's part for the birth policies: whose answers teach a container before its policy is known.
#include "userspace/sync/keys.h"
#include "userspace/sync/policy_writer.h"

#include <algorithm>
#include <cstring>

namespace penstock::sync {
namespace {

bool is_same(const abi::ps_resolver_key &a, const abi::ps_resolver_key &b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace

Result<void> PolicyWriter::set_birth_resolvers(const std::vector<policy::Address> &resolvers) {
    std::vector<abi::ps_resolver_key> wanted, stale;
    for (const std::uint16_t id : {abi::PS_POLICY_BIRTH_ALLOW, abi::PS_POLICY_BIRTH_AUDIT})
        for (const policy::Address &resolver : resolvers)
            wanted.push_back(resolver_key(id, resolver));
    for (const abi::ps_resolver_key &key : wanted)
        if (auto done = maps_->resolvers.update(key, 1); !done)
            return done;
    auto walked = maps_->resolvers.for_each([&](const abi::ps_resolver_key &key, std::uint8_t) {
        if (key.policy < abi::PS_POLICY_FIRST &&
            std::ranges::none_of(wanted, [&](const auto &each) { return is_same(each, key); }))
            stale.push_back(key);
    });
    if (!walked)
        return walked;
    for (const abi::ps_resolver_key &key : stale)
        if (const auto done = maps_->resolvers.erase(key); !done)
            return done.error();
    return {};
}

} // namespace penstock::sync
