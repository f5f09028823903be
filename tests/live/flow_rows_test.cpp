// SPDX-License-Identifier: Apache-2.0
// Rows of the flow log, filled here as the programs fill them: told of when they are due, taken out of sight when they have ended,
// given back after that. The clock is the test's.
#include "tests/catch_result.h"
#include "tests/live/own_cgroup.h"

#include "userspace/base/unique_fd.h"
#include "userspace/sync/flow_rows.h"

#include <catch2/catch.hpp>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace penstock;
using sync::FlowEnd;
using test::OwnCgroup;

namespace {

constexpr std::uint64_t second = 1'000'000'000, start = 1000 * second;
constexpr std::uint32_t slot = 5, serial = 77;

Result<kernel::MappedArray> pinned(const OwnCgroup &own, const std::string &name, std::size_t bytes) {
    const std::string pin = own.options().bpffs / "maps" / name;
    bpf_attr attr{};
    attr.pathname = reinterpret_cast<std::uintptr_t>(pin.c_str());
    const UniqueFd fd(static_cast<int>(::syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof attr)));
    REQUIRE(fd);
    return kernel::MappedArray::open(fd.get(), name, bytes);
}

struct World {
    World()
        : gate(kernel::Gate::open(own.options())), rows(*gate),
          memory(pinned(own, "flows", abi::PS_FLOWS * sizeof(abi::ps_flow)).value()),
          heads(pinned(own, "heads", abi::PS_SLOTS * sizeof(abi::ps_heads)).value()),
          gate_memory(pinned(own, "gate", sizeof(abi::ps_gate)).value()) {
        abi::ps_slot tenant{};
        tenant.serial = serial;
        tenant.flags = abi::PS_SLOT_USED;
        gate->maps().slots.fill(slot, tenant);
    }
    abi::ps_flow &row(std::uint32_t index) { return static_cast<abi::ps_flow *>(memory.data())[index]; }
    std::uint32_t &taken() {
        return static_cast<abi::ps_heads *>(heads.data())[slot].head[abi::PS_HEAD_FLOWS];
    }
    // What the first packet of a flow does.
    abi::ps_flow &begin(std::uint32_t index, std::uint16_t port) {
        abi::ps_flow &made = row(index);
        made.key.serial = serial;
        made.key.local_port = port;
        made.key.protocol = 6;
        made.slot = slot;
        made.begun_ns = made.last_ns = start;
        made.packets[0] = 3;
        made.bytes[0] = 300;
        made.word = 42;
        taken()++;
        static_cast<abi::ps_gate *>(gate_memory.data())->next_flow = index + 1;
        REQUIRE(gate->maps().flow_ids.update(made.key, index));
        return made;
    }
    bool is_found(const abi::ps_flow &flow) {
        return gate->maps().flow_ids.lookup(flow.key).value().has_value();
    }
    std::vector<sync::FlowRecord> look(std::uint64_t now) { return rows.look(now).value(); }

    OwnCgroup own;
    Result<kernel::Gate> gate;
    sync::FlowRows rows;
    kernel::MappedArray memory, heads, gate_memory;
};

} // namespace

TEST_CASE("a long flow is told of every minute, with what is new, and not when nothing is") {
    World world;
    auto &flow = world.begin(0, 1000);
    CHECK(world.look(start + 59 * second).empty());
    flow.last_ns = start + 59 * second;
    const auto first = world.look(start + 60 * second);
    REQUIRE(first.size() == 1);
    CHECK(first[0].end == FlowEnd::active);
    CHECK(first[0].from_ns == start);
    CHECK(first[0].packets(abi::PS_EGRESS) == 3);
    CHECK(first[0].bytes(abi::PS_EGRESS) == 300);
    CHECK(world.look(start + 61 * second).empty());
    flow.packets[1] += 2;
    flow.bytes[1] += 80;
    flow.last_ns = start + 100 * second;
    CHECK(world.look(start + 119 * second).empty());
    const auto second_record = world.look(start + 120 * second);
    REQUIRE(second_record.size() == 1);
    CHECK(second_record[0].from_ns == start + 60 * second);
    CHECK(second_record[0].packets(abi::PS_EGRESS) == 0);
    CHECK(second_record[0].packets(abi::PS_INGRESS) == 2);
    CHECK(second_record[0].bytes(abi::PS_INGRESS) == 80);
    CHECK(world.look(start + 180 * second).empty());
    CHECK(world.is_found(flow));
    CHECK(world.taken() == 1);
}

TEST_CASE("a flow that ended is out of the programs' sight first, told of and freed by the next look") {
    struct Case {
        const char *what;
        unsigned ends;
        std::uint64_t silent;
        FlowEnd end;
    };
    const auto each =
        GENERATE(Case{"both FIN", 3, 2 * second, FlowEnd::closed}, Case{"RST", 4, 2 * second, FlowEnd::reset},
                 Case{"silence", 0, 120 * second, FlowEnd::idle},
                 Case{"one FIN and silence", 1, 120 * second, FlowEnd::idle});
    INFO(each.what);
    World world;
    auto &flow = world.begin(0, 1000);
    flow.ends = static_cast<__u8>(each.ends);
    flow.told_ns = start; // not due of itself
    if (each.silent < 60 * second)
        CHECK(world.look(start + each.silent - 1).empty());
    CHECK(world.is_found(flow));
    CHECK(world.look(start + each.silent).empty());
    CHECK_FALSE(world.is_found(flow));
    CHECK(flow.word == 0);
    flow.packets[0]++; // a program that had found it before
    flow.bytes[0] += 100;
    const auto last = world.look(start + each.silent + second);
    REQUIRE(last.size() == 1);
    CHECK(last[0].end == each.end);
    CHECK(last[0].packets(abi::PS_EGRESS) == 4);
    CHECK(last[0].bytes(abi::PS_EGRESS) == 400);
    CHECK(flow.begun_ns == 0);
    CHECK(world.taken() == 0);
    CHECK(world.gate->maps().free_flows.pop().value() == 0U);
    CHECK(world.look(start + each.silent + 2 * second).empty());
}

TEST_CASE("flows of a container that is gone end with it, also when its slot has another tenant") {
    World world;
    auto &flow = world.begin(0, 1000);
    abi::ps_slot next{};
    next.serial = serial + 1;
    next.flags = abi::PS_SLOT_USED;
    world.gate->maps().slots.fill(slot, next);
    CHECK(world.look(start + second).empty());
    CHECK_FALSE(world.is_found(flow));
    const auto last = world.look(start + 2 * second);
    REQUIRE(last.size() == 1);
    CHECK(last[0].end == FlowEnd::gone);
    CHECK(world.taken() == 1); // the next tenant's own count is not touched
}

TEST_CASE("a daemon that died between the two steps takes no other flow's key away") {
    World world;
    auto &old = world.begin(0, 1000);
    world.gate->maps().flows.close(0, static_cast<std::uint32_t>(FlowEnd::reset));
    REQUIRE(world.gate->maps().flow_ids.erase(old.key));
    auto &fresh = world.begin(1, 1000); // the same addresses and ports again
    const auto last = world.look(start + second);
    REQUIRE(last.size() == 1);
    CHECK(last[0].end == FlowEnd::reset);
    CHECK(world.is_found(fresh));
    CHECK(world.gate->maps().flow_ids.lookup(fresh.key).value() == 1U);
}
