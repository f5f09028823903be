// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/gate.h"

#include "userspace/base/cgroup_mount.h"
#include "userspace/base/unique_fd.h"
#include "userspace/kernel/attach.h"
#include "userspace/kernel/bpffs.h"
#include "userspace/kernel/families.h"
#include "userspace/kernel/initialise.h"
#include "userspace/kernel/load.h"
#include "userspace/kernel/lsm_list.h"

#include <bit>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <fcntl.h>
#include <set>

namespace penstock::kernel {

struct Gate::Parts {
    LoadedObject loaded;
    Maps maps;
    AttachPoint point;
    UniqueFd root;
    std::uint32_t root_level = 0;
    bool adopted = false;
    Pinned pinned;

    RawMap raw(const char *name) const;
    int program(const char *name) const;
    Result<MappedArray> mapped(const char *name) const;
    Result<void> open_root(const std::filesystem::path &);
    Result<void> fill_maps();
    Result<void> attach_family(const Family &, bool optional);
    Result<void> attach_all();
    Result<void> drop_stale_links() const;
};

RawMap Gate::Parts::raw(const char *name) const {
    const bpf_map *map = ::bpf_object__find_map_by_name(loaded.object, name);
    if (!map)
        throw std::logic_error(std::string("the BPF object has no map ") + name);
    return {::bpf_map__fd(map), name, ::bpf_map__key_size(map), ::bpf_map__value_size(map),
            ::bpf_map__max_entries(map)};
}

int Gate::Parts::program(const char *name) const {
    return ::bpf_program__fd(::bpf_object__find_program_by_name(loaded.object, name));
}

Result<MappedArray> Gate::Parts::mapped(const char *name) const {
    const bpf_map *map = ::bpf_object__find_map_by_name(loaded.object, name);
    if (!map)
        throw std::logic_error(std::string("the BPF object has no map ") + name);
    const std::size_t stride = (::bpf_map__value_size(map) + 7UL) / 8 * 8;
    return MappedArray::open(::bpf_map__fd(map), name, stride * ::bpf_map__max_entries(map));
}

Result<void> Gate::Parts::open_root(const std::filesystem::path &path) {
    const auto mount = cgroup_mount();
    if (!mount)
        return mount.error();
    const auto level = cgroup_level(*mount, path);
    if (!level)
        return level.error().in("gate root");
    const auto id = cgroup_id(path);
    if (!id)
        return id.error().in("gate root");
    root.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root)
        return system_error("open gate root " + path.string(), errno);
    root_level = *level;
    point.root_fd = root.get();
    point.root_id = *id;
    return {};
}

Result<void> Gate::Parts::fill_maps() {
    auto gate = mapped("gate");
    auto slots = mapped("slots");
    auto budgets = mapped("budgets");
    auto flows = mapped("flows");
    auto heads = mapped("heads");
    for (const auto *each : {&gate, &slots, &budgets, &flows, &heads})
        if (!*each)
            return each->error();
    maps.gate = GateElement(std::move(*gate));
    maps.slots = SlotTable(std::move(*slots));
    maps.budgets = BudgetTable(std::move(*budgets), raw("budgets").max_entries());
    maps.flows = FlowTable(std::move(*flows), raw("flows").max_entries());
    maps.head_rows = HeadTable(std::move(*heads));
    maps.free_slots = FreeNumbers(raw("free_slots"));
    maps.free_cells = FreeNumbers(raw("free_cells"));
    maps.free_budgets = FreeNumbers(raw("free_budgets"));
    maps.free_flows = FreeNumbers(raw("free_flows"));
    maps.flow_ids = decltype(maps.flow_ids)(raw("flow_ids"));
    maps.containers = decltype(maps.containers)(raw("containers"));
    maps.birth = decltype(maps.birth)(raw("birth"));
    maps.policies = decltype(maps.policies)(raw("policies"));
    maps.names = decltype(maps.names)(raw("names"));
    maps.cidrs4 = decltype(maps.cidrs4)(raw("cidrs4"));
    maps.cidrs6 = decltype(maps.cidrs6)(raw("cidrs6"));
    maps.ports = decltype(maps.ports)(raw("ports"));
    maps.resolvers = decltype(maps.resolvers)(raw("resolvers"));
    maps.limit_ids = decltype(maps.limit_ids)(raw("limit_ids"));
    maps.limits = decltype(maps.limits)(raw("limits"));
    maps.budget_ids = decltype(maps.budget_ids)(raw("budget_ids"));
    maps.learned = decltype(maps.learned)(raw("learned"));
    maps.domains = decltype(maps.domains)(raw("domains"));
    maps.queries = decltype(maps.queries)(raw("queries"));
    maps.udp_peers = decltype(maps.udp_peers)(raw("udp_peers"));
    maps.rings = decltype(maps.rings)(raw("rings"));
    maps.heads = decltype(maps.heads)(raw("heads"));
    maps.counters = CounterMap(raw("counters"), raw("cells"), maps.free_cells,
                               {program("ps_retire"), program("ps_fold")});
    return {};
}

// The state is told as it turns out; what could not load was told by load_object().
Result<void> Gate::Parts::attach_family(const Family &family, bool optional) {
    bool any = false;
    bpf_program *program = nullptr;
    bpf_object__for_each_program(program, loaded.object) {
        if (::bpf_program__type(program) != family.type || ::bpf_program__fd(program) < 0)
            continue;
        any = true;
        auto attached = attach(program, point);
        if (!attached && optional) {
            loaded.features.push_back(lost(family, attached.error().message));
            return {};
        }
        if (!attached)
            return attached;
    }
    if (any)
        loaded.features.push_back({family.feature, Feature::State::on, "", ""});
    return {};
}

Result<void> Gate::Parts::attach_all() {
    for (const Family &family : needed_families)
        if (auto done = attach_family(family, false); !done)
            return done;
    for (const Family &family : optional_families)
        if (auto done = attach_family(family, true); !done)
            return done;
    for (Feature &feature : loaded.features)
        if (feature.name == optional_families[0].feature && feature.state == Feature::State::on)
            judge_lsm(feature);
    return drop_stale_links();
}

// Links of programs that this version does not have any more.
Result<void> Gate::Parts::drop_stale_links() const {
    const auto pins = list_pins(point.links);
    if (!pins)
        return pins.error();
    for (const auto &pin : *pins)
        if (!::bpf_object__find_program_by_name(loaded.object, pin.filename().c_str()))
            if (::unlink(pin.c_str()) != 0 && errno != ENOENT)
                return system_error("remove link " + pin.string(), errno);
    return {};
}

Result<Gate> Gate::open(const GateOptions &options) {
    for (const auto cap : {options.learned_per_slot, options.queries_per_slot, options.udp_peers_per_slot,
                           options.domains_per_slot})
        if (!std::has_single_bit(cap))
            return Error{"a cap of " + std::to_string(cap) + " per container is not a power of two", EINVAL};
    auto parts = std::make_unique<Parts>();
    if (const auto done = parts->open_root(options.gate_root); !done)
        return done.error();
    const auto folders = make_pin_folders(options.bpffs);
    if (!folders)
        return folders.error();
    parts->point.links = folders->links;
    auto loaded = load_object(options, folders->maps);
    if (!loaded)
        return loaded.error();
    parts->loaded = std::move(*loaded);
    if (const auto done = parts->fill_maps(); !done)
        return done.error();
    const auto adopted = initialise(parts->maps, options, parts->point.root_id, parts->root_level);
    if (!adopted)
        return adopted.error();
    parts->adopted = *adopted;
    if (const auto done = parts->attach_all(); !done)
        return done.error();
    auto pinned = Pinned::read(*folders, parts->point.root_id);
    if (!pinned)
        return pinned.error();
    parts->pinned = std::move(*pinned);
    return Gate(std::move(parts));
}

Gate::Gate(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Gate::Gate(Gate &&) noexcept = default;
Gate &Gate::operator=(Gate &&) noexcept = default;
Gate::~Gate() = default;

Maps &Gate::maps() {
    return parts_->maps;
}
const Maps &Gate::maps() const {
    return parts_->maps;
}
const Features &Gate::features() const {
    return parts_->loaded.features;
}
LostPins Gate::lost_pins() const {
    return parts_->pinned.lost();
}
bool Gate::adopted() const {
    return parts_->adopted;
}
std::uint64_t Gate::root_id() const {
    return parts_->point.root_id;
}
std::uint32_t Gate::root_level() const {
    return parts_->root_level;
}
Result<EventRing> Gate::open_events() const {
    return EventRing::open(::bpf_object__find_map_fd_by_name(parts_->loaded.object, "births"),
                           ::bpf_object__find_map_fd_by_name(parts_->loaded.object, "events"));
}

} // namespace penstock::kernel
