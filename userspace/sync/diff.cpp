// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/diff.h"

#include "policy/explain.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace penstock::sync {
namespace {

using policy::CidrEntry;
using policy::Image;
using policy::NameEntry;

// Orders of the image's entries: see find.cpp and compile_cidrs.cpp of policy/. Less than 0: `a` stands before `b`.
int compare(const NameEntry &a, const NameEntry &b) {
    if (a.reversed.size() != b.reversed.size())
        return a.reversed.size() > b.reversed.size() ? -1 : 1;
    return a.reversed.compare(b.reversed);
}
int compare(const CidrEntry &a, const CidrEntry &b) {
    if (a.cidr.length != b.cidr.length)
        return a.cidr.length > b.cidr.length ? -1 : 1;
    if (a.cidr.address.is_v4() != b.cidr.address.is_v4())
        return b.cidr.address.is_v4() ? -1 : 1;
    return std::memcmp(a.cidr.address.octets.data(), b.cidr.address.octets.data(),
                       a.cidr.address.octets.size());
}

bool equal(const abi::ps_match &a, const abi::ps_match &b) {
    return a.rule_set == b.rule_set && a.private_set == b.private_set && a.rule == b.rule &&
           a.verdict == b.verdict;
}

template <class Entry> const Entry *find(const std::vector<Entry> &entries, const Entry &key) {
    const auto [first, last] =
        std::equal_range(entries.begin(), entries.end(), key,
                         [](const Entry &a, const Entry &b) { return compare(a, b) < 0; });
    return first == last ? nullptr : &*first;
}

// What a look-up of just this key finds: the key itself or what covers it.
abi::ps_match look_up(const Image &image, const NameEntry &key) {
    NameEntry cover{key.reversed, {}};
    while (true) {
        if (const NameEntry *found = find(image.names, cover))
            return found->match;
        if (cover.reversed.empty())
            return {};
        cover.reversed.pop_back();
        while (!cover.reversed.empty() && cover.reversed.back() != '.')
            cover.reversed.pop_back();
    }
}
abi::ps_match look_up(const Image &image, const CidrEntry &key) {
    const int shortest = key.cidr.address.is_v4() && key.cidr.length >= 96 ? 96 : 0; // the tries are apart
    for (int length = key.cidr.length; length >= shortest; length--) {
        CidrEntry cover{key.cidr, {}};
        cover.cidr.length = static_cast<std::uint8_t>(length);
        for (int bit = length; bit < 128; bit++)
            cover.cidr.address.octets[static_cast<std::size_t>(bit / 8)] &=
                static_cast<std::uint8_t>(~(0x80U >> (bit % 8)));
        if (const CidrEntry *found = find(image.cidrs, cover))
            return found->match;
    }
    return {};
}

int rank(std::uint8_t verdict) {
    return verdict == abi::PS_DENY ? 0 : verdict == abi::PS_ALLOW ? 2 : 1;
}

Way way_of(std::uint8_t from, std::uint8_t to) {
    return rank(to) > rank(from) ? Way::loosens : rank(to) < rank(from) ? Way::tightens : Way::none;
}

class Comparer {
  public:
    Comparer(const Image &from, const Image &to) : from_(from), to_(to) {}

    Way match(const abi::ps_match &from, const abi::ps_match &to) {
        return join(way_of(from.verdict, to.verdict),
                    join(rule_sets(from.rule_set, to.rule_set), rule_sets(from.private_set, to.private_set)));
    }

  private:
    // Rule sets are constant between the ends of their prefixes: one port of each such stretch tells all.
    Way rule_sets(std::uint64_t from, std::uint64_t to) {
        if (from == to)
            return Way::none;
        const auto [known, is_new] = memo_.try_emplace({from, to}, Way::none);
        if (!is_new)
            return known->second;
        std::set<std::pair<std::uint8_t, std::uint32_t>> starts;
        collect(from_, from, starts);
        collect(to_, to, starts);
        Way way = Way::none;
        for (const auto &[protocol, port] : starts)
            way = join(way, way_of(verdict(from_, from, protocol, port), verdict(to_, to, protocol, port)));
        return known->second = way;
    }
    static void collect(const Image &image, std::uint64_t set,
                        std::set<std::pair<std::uint8_t, std::uint32_t>> &starts) {
        const auto entries = image.rule_sets.find(set);
        if (entries == image.rule_sets.end())
            return;
        for (const policy::PortEntry &entry : entries->second) {
            const std::uint32_t end = entry.port + (0x10000U >> entry.prefix_bits);
            starts.insert({entry.protocol, entry.port});
            if (end <= 0xffff)
                starts.insert({entry.protocol, end});
        }
    }
    static std::uint8_t verdict(const Image &image, std::uint64_t set, std::uint8_t protocol,
                                std::uint32_t port) {
        const auto rule = policy::find_port(image, set, protocol, static_cast<std::uint16_t>(port));
        return rule ? rule->verdict : static_cast<std::uint8_t>(abi::PS_NONE);
    }

    const Image &from_, &to_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, Way> memo_;
};

// One pass over both lists, which have the same order. False: more than `limit`.
template <class Entry>
bool merge(const std::vector<Entry> &from, const std::vector<Entry> &to, std::size_t limit,
           std::vector<const Entry *> &set, std::vector<const Entry *> &drop) {
    auto old = from.begin();
    auto now = to.begin();
    while ((old != from.end() || now != to.end()) && set.size() + drop.size() <= limit) {
        const int order = old == from.end() ? 1 : now == to.end() ? -1 : compare(*old, *now);
        if (order < 0) {
            drop.push_back(&*old++);
        } else if (order > 0) {
            set.push_back(&*now++);
        } else {
            if (!equal(old->match, now->match))
                set.push_back(&*now);
            old++, now++;
        }
    }
    std::reverse(drop.begin(), drop.end()); // least specific first
    return set.size() + drop.size() <= limit;
}

bool same_settings(const abi::ps_policy &a, const abi::ps_policy &b) {
    return a.min_ttl_s == b.min_ttl_s && a.mode == b.mode && a.inbound == b.inbound &&
           a.loopback == b.loopback && a.resolvers_any == b.resolvers_any &&
           a.default_reason == b.default_reason && a.limited == b.limited && a.flows == b.flows;
}

// Sockets remember where their limits stand by the policy's id and generation: other limits are another policy.
bool same_limits(const Image &a, const Image &b) {
    return std::ranges::equal(a.limits, b.limits, [](const auto &x, const auto &y) {
        return x.first == y.first && std::memcmp(&x.second, &y.second, sizeof x.second) == 0;
    });
}

} // namespace

Way join(Way a, Way b) {
    if (a == Way::none || a == b)
        return b;
    return b == Way::none ? a : Way::mixed;
}

std::size_t Difference::size() const {
    return set_names.size() + drop_names.size() + set_cidrs.size() + drop_cidrs.size() +
           add_resolvers.size() + drop_resolvers.size();
}

Difference diff(const Image &from, const Image &to, std::size_t limit) {
    Difference result;
    if (!same_settings(from.settings, to.settings) || !same_limits(from, to) ||
        !merge(from.names, to.names, limit, result.set_names, result.drop_names) ||
        !merge(from.cidrs, to.cidrs, limit, result.set_cidrs, result.drop_cidrs)) {
        result.way = Way::mixed;
        return result;
    }
    std::set_difference(to.resolvers.begin(), to.resolvers.end(), from.resolvers.begin(),
                        from.resolvers.end(), std::back_inserter(result.add_resolvers));
    std::set_difference(from.resolvers.begin(), from.resolvers.end(), to.resolvers.begin(),
                        to.resolvers.end(), std::back_inserter(result.drop_resolvers));
    Comparer comparer(from, to);
    const auto add_ways = [&](const auto &entries) {
        for (const auto *entry : entries)
            result.way = join(result.way, comparer.match(look_up(from, *entry), look_up(to, *entry)));
    };
    add_ways(result.set_names);
    add_ways(result.drop_names);
    add_ways(result.set_cidrs);
    add_ways(result.drop_cidrs);
    if (!result.add_resolvers.empty())
        result.way = join(result.way, Way::loosens);
    if (!result.drop_resolvers.empty())
        result.way = join(result.way, Way::tightens);
    return result;
}

} // namespace penstock::sync
