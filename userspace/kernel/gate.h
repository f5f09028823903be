// SPDX-License-Identifier: Apache-2.0
// The programs and maps in the kernel, attached once at the gate root and pinned, so that they outlive us. A Gate
// that exists is attached. Closing it takes nothing off: see unload.h. Knows no policies and no containers.
#pragma once

#include "userspace/kernel/features.h"
#include "userspace/kernel/maps.h"
#include "userspace/kernel/pinned.h"
#include "userspace/kernel/ring.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace penstock::kernel {

struct GateOptions {
    std::filesystem::path gate_root;                      // a directory of the cgroup v2 mount
    std::filesystem::path bpffs = "/sys/fs/bpf/penstock"; // pins go to its maps/ and links/
    std::map<std::string, std::uint32_t> max_entries;     // by map name (bpf/lib/maps.h); for new maps only
    std::uint32_t learned_per_slot = 1024;                // caps of one container; a power of two each
    std::uint32_t queries_per_slot = 256;
    std::uint32_t udp_peers_per_slot = 512;
    std::uint32_t domains_per_slot = 1024;
    std::uint32_t name_rows_per_slot = 256;              // counter rows of learned names
    std::uint32_t flows_per_slot = 4096;                 // rows of the flow log
    std::uint64_t event_cost_ns = 10'000'000;            // a container may tell 100 events a second
    std::uint64_t event_burst_ns = 1000 * 10'000'000ULL; // and 1,000 at once
};

class Gate {
  public:
    // Loads, adopts what is pinned (maps of the same ABI version; links, by replacing their programs), attaches the rest.
    static Result<Gate> open(const GateOptions &);
    Gate(Gate &&) noexcept;
    Gate &operator=(Gate &&) noexcept;
    ~Gate();

    Maps &maps();
    const Maps &maps() const;
    const Features &features() const;
    Result<EventRing> open_events() const;
    LostPins lost_pins() const;    // of what open() found or made, by what they are, not by their names
    bool adopted() const;          // the maps were there before
    std::uint64_t root_id() const; // cgroup id of the gate root
    std::uint32_t root_level() const;

  private:
    struct Parts;
    explicit Gate(std::unique_ptr<Parts>);
    std::unique_ptr<Parts> parts_;
};

} // namespace penstock::kernel
