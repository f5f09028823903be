// SPDX-License-Identifier: Apache-2.0
// The gate on this kernel: attached once, adopted after a restart, taken off whole.
#include "tests/live/own_cgroup.h"

#include "userspace/base/unique_fd.h"
#include "userspace/kernel/pin_lock.h"
#include "userspace/sync/rows.h"

#include <bpf/bpf.h>
#include <catch2/catch.hpp>
#include <cerrno>
#include <set>

using namespace penstock;
using test::OwnCgroup;
using test::soon;

namespace {

std::set<std::string> names_in(const std::filesystem::path &folder) {
    std::set<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(folder))
        names.insert(entry.path().filename().string());
    return names;
}

const kernel::Feature *find(const kernel::Features &features, std::string_view name) {
    for (const auto &feature : features)
        if (feature.name == name)
            return &feature;
    return nullptr;
}

std::string text_of(const kernel::Features &features) {
    std::string all;
    for (const auto &feature : features)
        all += feature.name + " " + text(feature.state) + " " + feature.detail + "\n";
    return all;
}

} // namespace

TEST_CASE("a gate pins its links and maps, and says what works") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    INFO((gate ? "" : gate.error().message));
    REQUIRE(gate);
    CHECK_FALSE(gate->adopted());
    CHECK(gate->root_id() == cgroup_id(own.root).value());
    CHECK(gate->root_level() == own.level(own.root));

    const auto links = names_in(own.bpffs / "links");
    for (const char *name : {"ps_egress", "ps_ingress", "ps_connect4", "ps_connect6", "ps_sendmsg4",
                             "ps_sendmsg6", "ps_sock_create", "ps_setsockopt", "ps_sock_ops"})
        CHECK(links.count(name) == 1);
    const auto maps = names_in(own.bpffs / "maps");
    for (const char *name :
         {"gate", "slots", "free_slots", "containers", "names", "counters", "births", "events", "sockets"})
        CHECK(maps.count(name) == 1);

    for (const char *name : {"packet-gate", "early-errors", "raw-sockets", "source-options"}) {
        REQUIRE(find(gate->features(), name));
        CHECK(find(gate->features(), name)->state == kernel::Feature::State::on);
    }
    for (const char *name : {"socket-families", "birth"}) {
        REQUIRE(find(gate->features(), name));
        const auto &feature = *find(gate->features(), name);
        const bool on = feature.state == kernel::Feature::State::on;
        CHECK((on || !feature.detail.empty()));
        CHECK(feature.detail.find("failed to load: -") == std::string::npos); // once, and in words
        CHECK(feature.loses.empty() == on);
        CHECK((on || feature.detail != feature.loses));
    }
}

TEST_CASE("a second gate adopts rows, slots and the seed, and replaces programs in their links") {
    OwnCgroup own;
    const auto child = own.make_child("c1");
    const std::uint64_t id = cgroup_id(child).value();
    std::uint64_t seed = 0;
    sync::Row row;
    std::string features;
    {
        auto gate = kernel::Gate::open(own.options());
        REQUIRE(gate);
        sync::Rows rows(*gate);
        const auto made = rows.make(id, own.level(child), 0, PS_BINDING(7, 99));
        REQUIRE(made);
        row = *made;
        seed = gate->maps().gate.read().hash_seed;
        features = text_of(gate->features());
    }
    const auto links = names_in(own.bpffs / "links");
    auto gate = kernel::Gate::open(own.options());
    INFO((gate ? "" : gate.error().message));
    REQUIRE(gate);
    CHECK(gate->adopted());
    CHECK(gate->maps().gate.read().hash_seed == seed);
    CHECK(gate->maps().gate.read().level_mask == 1U << own.level(child));
    sync::Rows rows(*gate);
    const auto found = rows.find(id);
    REQUIRE(found);
    REQUIRE(*found);
    CHECK((*found)->slot == row.slot);
    CHECK((*found)->serial == row.serial);
    CHECK((*found)->binding == PS_BINDING(7, 99));
    CHECK(names_in(own.bpffs / "links") == links);
    CHECK(text_of(gate->features()) == features);
}

TEST_CASE("another gate root under the same pins is refused and nothing changes") {
    OwnCgroup own;
    { REQUIRE(kernel::Gate::open(own.options())); }
    auto options = own.options();
    options.gate_root = own.make_child("other");
    const auto gate = kernel::Gate::open(options);
    REQUIRE_FALSE(gate);
    CHECK(gate.error().message.find("gate root") != std::string::npos);
    CHECK(kernel::Gate::open(own.options()));
}

TEST_CASE("bad options give one error each and pin nothing") {
    OwnCgroup own;
    auto options = own.options();
    SECTION("a gate root that is not there") {
        options.gate_root = own.root / "missing";
    }
    SECTION("a gate root outside the cgroup tree") {
        options.gate_root = "/tmp";
    }
    SECTION("a map that is not there") {
        options.max_entries["nonsense"] = 7;
    }
    SECTION("a cap that is no power of two") {
        options.learned_per_slot = 1000;
    }
    const auto gate = kernel::Gate::open(options);
    REQUIRE_FALSE(gate);
    CHECK_FALSE(gate.error().message.empty());
    if (std::filesystem::exists(own.bpffs / "maps"))
        CHECK(names_in(own.bpffs / "maps").empty());
}

TEST_CASE("links that were removed or cut are told") {
    OwnCgroup own;
    auto gate = kernel::Gate::open(own.options());
    REQUIRE(gate);
    CHECK(gate->lost_pins().links.empty());
    std::filesystem::remove(own.bpffs / "links" / "ps_egress");
    CHECK(gate->lost_pins().links == std::vector<std::string>{"ps_egress"});
    {
        const UniqueFd link(::bpf_obj_get((own.bpffs / "links" / "ps_ingress").c_str()));
        REQUIRE(::bpf_link_detach(link.get()) == 0); // the pin stays
    }
    CHECK(gate->lost_pins().links == std::vector<std::string>{"ps_egress", "ps_ingress"});
    CHECK(gate->lost_pins().maps.empty());
    std::filesystem::remove(own.bpffs / "maps" / "names");
    CHECK(gate->lost_pins().maps == std::vector<std::string>{"names"});
    REQUIRE(kernel::detach_all(own.bpffs));
    CHECK(gate->lost_pins().links.size() > 8);
}

TEST_CASE("pins of the same names that are another's are told") {
    OwnCgroup own;
    auto first = kernel::Gate::open(own.options());
    REQUIRE(first);
    REQUIRE(kernel::detach_all(own.bpffs));
    auto second = kernel::Gate::open(own.options());
    REQUIRE(second);
    CHECK(second->lost_pins().links.empty());
    CHECK(second->lost_pins().maps.empty());
    CHECK(first->lost_pins().links.size() == names_in(own.bpffs / "links").size());
    CHECK(first->lost_pins().maps.size() == names_in(own.bpffs / "maps").size());
}

TEST_CASE("the pins have one user, also after their folder was made anew") {
    const OwnCgroup own;
    CHECK(kernel::has_no_pins(own.bpffs));
    auto first = kernel::lock_pins(own.bpffs);
    REQUIRE(first);
    CHECK_FALSE(kernel::has_no_pins(own.bpffs));
    CHECK(kernel::is_still_there(*first, own.bpffs));
    const auto second = kernel::lock_pins(own.bpffs, std::chrono::milliseconds(50));
    REQUIRE_FALSE(second);
    CHECK(second.error().code == EBUSY);
    CHECK(second.error().message.find("another penstockd") != std::string::npos);
    REQUIRE(kernel::detach_all(own.bpffs)); // the folder that is locked goes
    CHECK_FALSE(kernel::is_still_there(*first, own.bpffs));
    const auto third = kernel::lock_pins(own.bpffs, std::chrono::milliseconds(50));
    REQUIRE(third); // first's lock keeps nobody out: it must know
    CHECK_FALSE(kernel::is_still_there(*first, own.bpffs));
    CHECK(kernel::is_still_there(*third, own.bpffs));
    CHECK_FALSE(kernel::lock_pins(own.bpffs, std::chrono::milliseconds(50)));
}

TEST_CASE("who waits for the pins does not make folders in the way of who takes them off") {
    const OwnCgroup own;
    auto holder = kernel::lock_pins(own.bpffs);
    REQUIRE(holder);
    CHECK_FALSE(kernel::lock_pins(own.bpffs, std::chrono::milliseconds(50)));
    CHECK(std::filesystem::is_empty(own.bpffs));
}

TEST_CASE("the pins' folder is one in any spelling, and no place for pins is no other daemon") {
    const OwnCgroup own;
    const auto first = kernel::lock_pins(own.bpffs / "deeper" / "..");
    REQUIRE(first);
    CHECK(kernel::is_still_there(*first, own.bpffs));
    CHECK(std::filesystem::is_empty(own.bpffs));
    const auto elsewhere = kernel::lock_pins("/tmp/no-bpffs-here");
    REQUIRE_FALSE(elsewhere);
    CHECK(elsewhere.error().code != EBUSY);
}

TEST_CASE("detach_all leaves nothing, twice") {
    OwnCgroup own;
    { REQUIRE(kernel::Gate::open(own.options())); }
    const auto removed = kernel::detach_all(own.bpffs);
    REQUIRE(removed);
    CHECK(removed->size() > 20);
    CHECK_FALSE(std::filesystem::exists(own.bpffs));
    const auto again = kernel::detach_all(own.bpffs);
    REQUIRE(again);
    CHECK(again->empty());
}
