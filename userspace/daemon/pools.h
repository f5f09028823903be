// SPDX-License-Identifier: Apache-2.0
// The threads beside the loop.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <chrono>

namespace penstock::daemon {

// One thread each: what enforces; what judges texts that change nothing; what reads for who asks; what waits for the disk
// (quotas twice a second, the record of audit).
struct Pools {
    boost::asio::thread_pool enforcement{1}, checks{1}, readers{1}, storing{1};
};

// Joins the pool if its work ends in time; else false: the work goes on, and the process must end without it.
bool ends_soon(boost::asio::thread_pool &, std::chrono::milliseconds patience);

} // namespace penstock::daemon
