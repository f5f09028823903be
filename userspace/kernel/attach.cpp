// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/attach.h"

#include "userspace/base/unique_fd.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace penstock::kernel {
namespace {

struct CloseLink {
    void operator()(bpf_link *link) const { ::bpf_link__destroy(link); } // a pinned link lives on
};
using Link = std::unique_ptr<bpf_link, CloseLink>;

bool is_raw_tracepoint(const bpf_program *program) {
    return ::bpf_program__type(program) == BPF_PROG_TYPE_RAW_TRACEPOINT;
}

std::string name_of(const bpf_program *program) {
    return ::bpf_program__name(program);
}

Result<void> attach_new(bpf_program *program, const AttachPoint &point, const std::filesystem::path &pin) {
    const Link link(is_raw_tracepoint(program) ? ::bpf_program__attach(program)
                                               : ::bpf_program__attach_cgroup(program, point.root_fd));
    if (!link)
        return system_error("attach program " + name_of(program), errno);
    if (const int failure = ::bpf_link__pin(link.get(), pin.c_str()))
        return system_error("pin link " + pin.string(), -failure);
    return {};
}

// Raw tracepoints: their links cannot change programs. For a moment both run; birth.bpf.c bears that.
Result<void> attach_over(bpf_program *program, const AttachPoint &point, const std::filesystem::path &pin) {
    const std::filesystem::path beside = pin.string() + "_new"; // bpffs refuses dots in names
    ::unlink(beside.c_str());                                   // of a daemon that died here
    if (auto attached = attach_new(program, point, beside); !attached)
        return attached;
    if (::rename(beside.c_str(), pin.c_str()) != 0)
        return system_error("replace link " + pin.string(), errno);
    return {};
}

Result<std::uint64_t> cgroup_of(int link_fd, const std::filesystem::path &pin) {
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (::bpf_obj_get_info_by_fd(link_fd, &info, &size) != 0)
        return system_error("look at link " + pin.string(), errno);
    if (info.type != BPF_LINK_TYPE_CGROUP)
        return fault("link " + pin.string() + " is of another kind: detach all first");
    return static_cast<std::uint64_t>(info.cgroup.cgroup_id);
}

// False: the link is dead (its cgroup was removed), attach anew.
Result<bool> update(int link_fd, bpf_program *program, const AttachPoint &point,
                    const std::filesystem::path &pin) {
    const auto cgroup = cgroup_of(link_fd, pin);
    if (!cgroup)
        return cgroup.error();
    if (*cgroup == 0)
        return false;
    if (*cgroup != point.root_id)
        return fault("link " + pin.string() + " is attached to cgroup id " + std::to_string(*cgroup) +
                     ", not to this gate root (id " + std::to_string(point.root_id) +
                     "): use the old gate root, or detach all first");
    if (::bpf_link_update(link_fd, ::bpf_program__fd(program), nullptr) == 0)
        return true;
    if (errno == ENOLINK)
        return false;
    return system_error("update link " + pin.string(), errno);
}

} // namespace

Result<void> attach(bpf_program *program, const AttachPoint &point) {
    const std::filesystem::path pin = point.links / name_of(program);
    const UniqueFd old(::bpf_obj_get(pin.c_str()));
    if (!old && errno != ENOENT)
        return system_error("open link " + pin.string(), errno);
    if (!old)
        return attach_new(program, point, pin);
    if (is_raw_tracepoint(program))
        return attach_over(program, point, pin);
    const auto updated = update(old.get(), program, point, pin);
    if (!updated)
        return updated.error();
    return *updated ? Result<void>() : attach_over(program, point, pin);
}

} // namespace penstock::kernel
