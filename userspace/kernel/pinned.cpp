// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/pinned.h"

#include "userspace/base/unique_fd.h"

#include <bpf/bpf.h>
#include <optional>

namespace penstock::kernel {
namespace {

template <typename Info> std::optional<Info> info_of(const std::filesystem::path &pin) {
    const UniqueFd object(::bpf_obj_get(pin.c_str()));
    Info info{};
    __u32 size = sizeof info;
    if (!object || ::bpf_obj_get_info_by_fd(object.get(), &info, &size) != 0)
        return std::nullopt;
    return info;
}

std::uint32_t link_id(const std::filesystem::path &pin, std::uint64_t root_id) {
    const auto info = info_of<bpf_link_info>(pin);
    const bool attached = info && (info->type != BPF_LINK_TYPE_CGROUP || info->cgroup.cgroup_id == root_id);
    return attached ? info->id : 0;
}

std::uint32_t map_id(const std::filesystem::path &pin) {
    const auto info = info_of<bpf_map_info>(pin);
    return info ? info->id : 0;
}

} // namespace

Result<Pinned> Pinned::read(const PinFolders &folders, std::uint64_t root_id) {
    Pinned pinned;
    pinned.root_id_ = root_id;
    const auto links = list_pins(folders.links), maps = list_pins(folders.maps);
    if (!links || !maps)
        return (links ? maps : links).error();
    for (const auto &pin : *links)
        pinned.links_.push_back({pin, link_id(pin, root_id)});
    for (const auto &pin : *maps)
        pinned.maps_.push_back({pin, map_id(pin)});
    return pinned;
}

LostPins Pinned::lost() const {
    LostPins lost;
    for (const auto &[path, id] : links_)
        if (id == 0 || link_id(path, root_id_) != id)
            lost.links.push_back(path.filename().string());
    for (const auto &[path, id] : maps_)
        if (id == 0 || map_id(path) != id)
            lost.maps.push_back(path.filename().string());
    return lost;
}

} // namespace penstock::kernel
