// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/load.h"

#include "userspace/base/unique_fd.h"
#include "userspace/kernel/families.h"
#include "userspace/kernel/libbpf_log.h"

#include <array>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <penstock.skel.h>

namespace penstock::kernel {

void CloseSkeleton::operator()(penstock_bpf *skeleton) const {
    ::penstock_bpf__destroy(skeleton);
}

namespace {

std::string other_layout(const std::filesystem::path &pin) {
    return "pinned map " + pin.string() +
           " has another layout than this version's: detach all first (this takes "
           "enforcement off until the next start)";
}

// A pinned map must be just what we would make; only its size is its own.
Result<void> fit_to_pin(bpf_map *map, int pinned, const std::filesystem::path &pin) {
    bpf_map_info info{};
    __u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(pinned, &info, &size) != 0)
        return system_error("look at pinned map " + pin.string(), errno);
    if (info.type != ::bpf_map__type(map) || info.key_size != ::bpf_map__key_size(map) ||
        info.value_size != ::bpf_map__value_size(map) || info.map_flags != ::bpf_map__map_flags(map))
        return fault(other_layout(pin));
    if (::bpf_map__set_max_entries(map, info.max_entries) != 0)
        return system_error("size map " + pin.string(), errno);
    return {};
}

Result<void> check_abi(int gate_map, const std::filesystem::path &pin) {
    const std::uint32_t zero = 0;
    abi::ps_gate gate{};
    if (::bpf_map_lookup_elem(gate_map, &zero, &gate) != 0)
        return system_error("read pinned map " + pin.string(), errno);
    if (gate.abi_version != 0 && gate.abi_version != abi::PS_ABI_VERSION) // 0: made, and its maker died
        return fault("pinned maps are of ABI version " + std::to_string(gate.abi_version) +
                     ", this is version " + std::to_string(abi::PS_ABI_VERSION) + ": detach all first (" +
                     pin.string() + ")");
    return {};
}

Result<void> prepare_map(bpf_map *map, const GateOptions &options, const std::filesystem::path &folder) {
    const std::string name = ::bpf_map__name(map);
    const std::filesystem::path pin = folder / name;
    const UniqueFd pinned(::bpf_obj_get(pin.c_str()));
    if (!pinned && errno != ENOENT)
        return system_error("open pinned map " + pin.string(), errno);
    if (pinned && name == "gate") // the version says more than a layout
        if (auto same = check_abi(pinned.get(), pin); !same)
            return same;
    const auto size = options.max_entries.find(name);
    if (pinned) {
        if (auto fits = fit_to_pin(map, pinned.get(), pin); !fits)
            return fits;
    } else if (size != options.max_entries.end() && ::bpf_map__set_max_entries(map, size->second) != 0) {
        return system_error("size map " + name, errno);
    }
    if (const int failure = ::bpf_map__set_pin_path(map, pin.c_str()))
        return system_error("pin map " + pin.string(), -failure);
    return {};
}

Result<void> prepare_maps(bpf_object *object, const GateOptions &options,
                          const std::filesystem::path &folder) {
    for (const auto &[name, size] : options.max_entries)
        if (!::bpf_object__find_map_by_name(object, name.c_str()))
            return Error{"there is no map '" + name + "' to size", EINVAL};
    bpf_map *map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (::bpf_map__is_internal(map)) // rodata and the like: made anew with each program version
            continue;
        if (auto prepared = prepare_map(map, options, folder); !prepared)
            return prepared;
    }
    return {};
}

using Skipped = std::array<bool, 2>; // by optional_families

bool is_skipped(const bpf_program *program, const Skipped &skipped) {
    for (std::size_t i = 0; i < skipped.size(); i++)
        if (skipped[i] && ::bpf_program__type(program) == optional_families[i].type)
            return true;
    return false;
}

Result<LoadedObject> try_to_load(const GateOptions &options, const std::filesystem::path &map_pins,
                                 Skipped skipped) {
    const LibbpfLog log;
    LoadedObject loaded;
    loaded.skeleton.reset(::penstock_bpf__open());
    if (!loaded.skeleton)
        return system_error("open the BPF object: " + log.tail(), errno);
    loaded.object = loaded.skeleton->obj;
    if (const auto prepared = prepare_maps(loaded.object, options, map_pins); !prepared)
        return prepared.error();
    bpf_program *program = nullptr;
    bpf_object__for_each_program(program, loaded.object) {
        if (is_skipped(program, skipped))
            ::bpf_program__set_autoload(program, false);
    }
    if (const int failure = ::penstock_bpf__load(loaded.skeleton.get()))
        return system_error("load the BPF programs (" + log.tail() + ")", -failure);
    return loaded;
}

} // namespace

// Everything, else without one optional family, else without both. The first error is the one that tells the most
// when nothing loads.
Result<LoadedObject> load_object(const GateOptions &options, const std::filesystem::path &map_pins) {
    Result<LoadedObject> whole = try_to_load(options, map_pins, {});
    if (whole)
        return whole;
    for (const Skipped skipped : {Skipped{true, false}, Skipped{false, true}, Skipped{true, true}}) {
        Result<LoadedObject> part = try_to_load(options, map_pins, skipped);
        if (!part)
            continue;
        for (std::size_t i = 0; i < skipped.size(); i++)
            if (skipped[i])
                part->features.push_back(lost(optional_families[i], whole.error().message));
        return part;
    }
    return whole.error();
}

} // namespace penstock::kernel
