// SPDX-License-Identifier: Apache-2.0
// Brings compiled policies into the kernel and binds slots to them. A policy that is bound is whole; an error leaves
// what was bound before untouched. Knows images and maps, not documents or containers.
//
//   put (write all keys under a new id, the policies[] element last) -> bind slots (one store each) -> wait a grace of 1 s
//   -> retire the old id
//
// State of a policies[] element:  free (all zero) -> begun (generation, hash 0) -> whole (hash) -> begun -> free
// so that a daemon that starts after a crash knows which ids have keys to clean up.
#pragma once

#include "policy/compile.h"
#include "userspace/base/result.h"
#include "userspace/kernel/gate.h"
#include "userspace/sync/free_indices.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace penstock::sync {

struct Difference;
using ImagePtr = std::shared_ptr<const policy::Image>;

struct PolicyHandle {
    std::uint16_t id = 0;
    std::uint32_t generation = 0;
    std::uint64_t binding() const { return PS_BINDING(generation, id); }
    bool operator==(const PolicyHandle &) const = default;
};

constexpr std::chrono::seconds grace{1}; // no program that saw the old binding still runs after it

class PolicyWriter {
  public:
    // Reads which policies the kernel has. `gate` outlives the writer.
    static Result<PolicyWriter> open(kernel::Gate &gate);

    // The image's id in the kernel: the one it has already (equal content hash: nothing is written), or a new one.
    // On an error nothing of it stays, and the error names map, entries and errno.
    Result<PolicyHandle> put(const ImagePtr &image);

    // The policy behind `from` becomes `to`: for all slots bound to it. Small one-way changes are written in place (same id,
    // new generation, slots rebound here: nothing left to do for the caller); else this is put(): bind, wait, retire.
    Result<PolicyHandle> change(PolicyHandle from, ImagePtr to);

    // The next packet of the slot is judged by it.
    void bind(std::uint32_t slot, PolicyHandle);

    // Deletes the keys. Refused while a slot is bound to it. The caller has waited the grace.
    Result<void> retire(PolicyHandle);

    // Deletes what a dead daemon left half done, and policies that were neither put since open() nor are bound. To be
    // called when all slots are bound, after a start and whenever there is time. How many ids were cleared.
    Result<std::size_t> collect_garbage();

    // A fixed policy's handle (PS_POLICY_BIRTH_*), written by the gate.
    Result<PolicyHandle> birth(std::uint16_t policy) const;

    // Whose answers teach containers that are bound to the birth verdicts allow and audit: no others, or a container could
    // teach itself any address before its policy is known.
    Result<void> set_birth_resolvers(const std::vector<policy::Address> &);

    std::optional<PolicyHandle> find(std::uint64_t content_hash) const;
    ImagePtr image(std::uint16_t id) const; // null: not put since open()
    std::uint64_t entries_written() const { return written_; }

  private:
    struct Known {
        PolicyHandle handle;
        std::uint64_t content_hash = 0; // 0: begun
        ImagePtr image;                 // null: adopted from the kernel, not asked for yet
    };

    explicit PolicyWriter(kernel::Maps &maps) : maps_(&maps), limit_places_(maps.limits.max_entries()) {}
    Result<PolicyHandle> begin();
    Result<void> write(PolicyHandle, const policy::Image &);
    Result<void> write_rule_sets(const policy::Image &);
    Result<void> write_element(PolicyHandle, const abi::ps_policy &settings);
    Result<void> erase_policy(std::uint16_t id, const policy::Image &);
    Result<void> erase_keys(std::uint16_t id, const policy::Image &);
    Result<void> erase_unused_rule_sets(const policy::Image &);
    Result<void> erase_after_grace();
    bool knows_all_contents() const;
    Result<void> erase_by_scan(const std::vector<std::uint16_t> &ids);
    Result<void> collect_rule_sets(const std::vector<std::uint16_t> &kept_unknown);
    Result<PolicyHandle> write_in_place(Known &, ImagePtr to, const Difference &);
    Result<void> write_difference(std::uint16_t id, const policy::Image &from, const policy::Image &to,
                                  const Difference &);
    Result<void> write_additions(std::uint16_t id, const Difference &);
    void undo_additions(std::uint16_t id, const policy::Image &from, const Difference &);
    Result<void> write_removals(std::uint16_t id, const Difference &);
    Result<void> adopt_limits();
    Result<void> write_limits(std::uint16_t id, const policy::Image &);
    Result<void> erase_limit(const abi::ps_limits_key &, std::uint32_t place);
    Result<void> erase_limits(std::uint16_t id, const policy::Image &);
    Result<void> erase_limits_by_scan(const std::unordered_set<std::uint16_t> &ids);
    Result<std::uint32_t> next_generation();
    bool is_bound(std::uint16_t id) const;
    void use(Known &, ImagePtr);
    void unuse(Known &);

    kernel::Maps *maps_;
    std::unordered_map<std::uint16_t, Known> known_;
    std::unordered_map<std::uint64_t, std::uint32_t> rule_set_uses_;
    FreeIndices limit_places_; // of the map limits
    struct Left { // by an in-place change: programs that began before it may still look its rule sets up
        ImagePtr image;
        std::uint64_t since_ns = 0;
    };
    std::vector<Left> left_;
    std::uint32_t last_generation_ = 0;
    std::uint16_t last_id_ = abi::PS_POLICY_FIRST - 1;
    std::uint64_t written_ = 0;
};

} // namespace penstock::sync
