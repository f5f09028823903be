// SPDX-License-Identifier: Apache-2.0
// Which cgroups are containers, and which policies each has. A pure function of a cgroup's path, the
// policies' selectors and the birth rules: no tree, no files, no kernel. So the order in which cgroups
// appear can not change the answer.
//
//  - A container is the topmost cgroup below the gate root that some selector names; what is made inside
//    it belongs to it.
//  - A cgroup whose name ends in `.slice` groups others (systemd): wildcards pass over it, only a selector
//    without wildcards names it.
//  - A strict root has a row of its own with its birth verdict, and every child of it is a container
//    even if no policy selects it. So is the topmost cgroup that a birth pattern knows.
#pragma once

#include "bpf/abi.h"
#include "policy/model.h"
#include "userspace/container/at_birth.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::container {

// What the birth program is told as well; `text` of a strict root is a normal path, else a prefix.
struct BirthRule {
    std::string text;
    std::uint16_t policy = abi::PS_POLICY_BIRTH_ALLOW; // PS_POLICY_BIRTH_*
};
struct BirthRules {
    std::vector<BirthRule> strict_roots;
    std::vector<BirthRule> names; // prefixes of a cgroup's own name
    std::vector<BirthRule> paths; // prefixes of the path below the cgroup mount
};

struct Standing {
    enum class Kind {
        outside,     // not ours: not below the gate root, or nothing names it
        inner,       // part of the container at `container`
        strict_root, // the row that gives its children the birth verdict
        born,        // a container that no policy selects
        selected,    // a container with `policies`
    };
    Kind kind = Kind::outside;
    std::string container;                        // path of the container it is or belongs to
    std::vector<std::size_t> policies;            // selected: indices into the policies given, ascending
    std::uint16_t birth = abi::PS_POLICY_UNBOUND; // strict_root, born: PS_POLICY_BIRTH_*

    bool is_row() const { return kind != Kind::outside && kind != Kind::inner; }
};

class Selection {
  public:
    // `gate_root` is a normal path. The policies are read once and not kept.
    Selection(const std::vector<policy::Policy> &policies, std::string gate_root, BirthRules);

    Standing standing(std::string_view path) const; // of a normal path

    std::vector<SelectedAtBirth> at_birth() const { return selected_at_birth(globs_); }

    // One sentence for each selector that can select nothing yet, naming its fields: they are valid
    // policy, but only `cgroup` is built.
    static std::vector<std::string> unbuilt(const policy::Policy &);

  private:
    std::vector<std::size_t> policies_of(std::string_view path) const;
    Standing born(std::string_view path, const Standing &above) const;

    std::vector<SelectingGlob> globs_; // by policy
    std::string gate_root_;
    BirthRules birth_;
};

} // namespace penstock::container
