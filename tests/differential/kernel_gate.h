// SPDX-License-Identifier: Apache-2.0
// The real programs, loaded but attached nowhere and pinned nowhere, with maps of their own, run by
// BPF_PROG_TEST_RUN for the calling process's cgroup. Its map writer is its own, apart from userspace/sync.
#pragma once

#include "policy/compile.h"
#include "tests/differential/packet.h"

#include <cstdint>
#include <memory>
#include <string>

namespace penstock::differential {

// The calling process's network namespace, as what is learned there is keyed by it.
std::uint32_t own_netns();

// Throws std::runtime_error with what failed: a test can do nothing else.
class KernelGate {
  public:
    // `cgroup_id`: of the container whose packets the calling process makes. `ifindex`: of a device that is not lo;
    // what has a loopback address is on lo all the same.
    KernelGate(std::uint64_t cgroup_id, unsigned ifindex);
    ~KernelGate();

    using PolicyId = std::uint16_t;
    void write(PolicyId, const policy::Image &);
    void erase(PolicyId, const policy::Image &);
    void bind(PolicyId); // with the generation that write() gave

    // Did it pass? `packets`: as a buffer that becomes so many.
    bool egress(const Octets &frame, std::uint32_t packets = 1);
    bool ingress(const Octets &frame);

    // How often this was counted since the gate was made, whatever learned name allowed it.
    std::uint64_t counted(std::uint64_t rule, abi::ps_direction, abi::ps_verdict, abi::ps_reason) const;
    std::string counters() const; // all, for a report

    std::size_t learned_names(const policy::Address &) const;
    bool is_private(const policy::Address &) const; // learned as such
    void expire(const policy::Address &,
                std::size_t place);       // the name learned there as number `place`, from 0
    void forget(const policy::Address &); // all names of the address

    // For who measures: file descriptors, owned by the gate. A name that is not there is an error.
    int map(const char *name) const;
    int program(const char *name) const; // ps_egress or ps_ingress

    static constexpr std::uint32_t slot = abi::PS_SLOT_FIRST;

  private:
    struct Parts;
    bool run(int program, const Octets &frame, std::uint32_t packets);
    std::unique_ptr<Parts> parts_;
};

} // namespace penstock::differential
