// SPDX-License-Identifier: Apache-2.0
// A rate as the token bucket that the kernel keeps for it. Pure arithmetic, exact in 128 bits. Private to policy/.
//
// Bursts: what is given, but of octets at least 144 KiB and of packets at least 64, as the kernel hands TCP's data over in
// buffers of up to 64 KiB and headers: a bucket that holds none of them would let nothing pass, and where one holds a single
// one, as that of packets may, connections that share it refuse each other's. Not given: as much as 100 ms bring, with the
// same least; of connections and queries as many as one period brings ("120/min": up to 120 at once).
#pragma once

#include "bpf/abi.h"
#include "policy/model.h"

namespace penstock::policy {

enum class Quantity { octets, packets, count }; // count: connections, queries

constexpr std::uint64_t ns_per_s = 1'000'000'000;
constexpr std::uint64_t year_s = 365ull * 24 * 60 * 60;

std::uint64_t burst_of(const Rate &, Quantity);
// The rate as it holds: a burst that is given is at least the least.
Rate held(Rate, Quantity);

// How long the whole burst takes to come back; no rate with more than a year has a bucket.
bool refills_in_a_year(const Rate &, Quantity);

// Never above the rate: what a unit costs is rounded up. The cost has as many binary places as fit (`shift`).
abi::ps_rate bucket_of(const Rate &, Quantity);

// Which of two is stricter: less in the same time, then the smaller burst.
bool is_stricter(const Rate &, const Rate &, Quantity);
// Less in the same time, then fewer octets.
bool is_stricter(const Quota &, const Quota &);

} // namespace penstock::policy
