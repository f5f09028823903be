// SPDX-License-Identifier: Apache-2.0
#include "userspace/sync/policy_writer.h"

#include "userspace/sync/keys.h"

#include <algorithm>
#include <cerrno>

namespace penstock::sync {
namespace {

std::string names_of(const policy::Image &image) {
    std::string text;
    for (const std::string &name : image.policies)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

// Keys and values of one map, written together.
template <class Key, class Value> class Batch {
  public:
    explicit Batch(std::size_t size) {
        keys_.reserve(size);
        values_.reserve(size);
    }
    void add(const Key &key, const Value &value) {
        keys_.push_back(key);
        values_.push_back(value);
    }
    Result<void> write(const kernel::Map<Key, Value> &map, std::uint64_t &written) const {
        std::uint32_t done = 0;
        const auto result = map.update_all(keys_, values_, done);
        written += done;
        if (result)
            return {};
        return Error(result.error().message + " after " + std::to_string(done) + " of " +
                         std::to_string(keys_.size()) + " entries of this policy",
                     result.error().code);
    }

  private:
    std::vector<Key> keys_;
    std::vector<Value> values_;
};

} // namespace

Result<PolicyWriter> PolicyWriter::open(kernel::Gate &gate) {
    PolicyWriter writer(gate.maps());
    const auto read = gate.maps().policies.for_each([&](kernel::Id id, const abi::ps_policy &policy) {
        writer.last_generation_ = std::max(writer.last_generation_, policy.generation);
        if (id < abi::PS_POLICY_FIRST || policy.generation == 0)
            return;
        const PolicyHandle handle{static_cast<std::uint16_t>(id), policy.generation};
        writer.known_[handle.id] = {handle, policy.content_hash, nullptr};
        writer.last_id_ = std::max(writer.last_id_, handle.id);
    });
    if (!read)
        return read.error();
    if (const auto adopted = writer.adopt_limits(); !adopted)
        return adopted.error();
    return writer;
}

Result<PolicyHandle> PolicyWriter::put(const ImagePtr &image) {
    if (image->settings.content_hash == 0)
        return fault("policy " + names_of(*image) + ": the image has no content hash");
    for (auto &[id, known] : known_) {
        if (known.content_hash != image->settings.content_hash)
            continue;
        use(known, image);
        return known.handle;
    }
    if (const auto done = erase_after_grace(); !done)
        return done.error();
    auto handle = begin();
    if (!handle)
        return handle;
    known_[handle->id].image = image; // not used yet: its rule sets go if this fails
    auto written = write(*handle, *image);
    if (written)
        written = write_element(*handle, image->settings);
    if (!written) {
        const auto erased = erase_policy(handle->id, *image);
        const Error error = written.error().in("policy " + names_of(*image));
        return erased ? error : Error(error.message + "; and then " + erased.error().message, error.code);
    }
    Known &known = known_[handle->id];
    known.content_hash = image->settings.content_hash;
    known.image = nullptr;
    use(known, image);
    return handle;
}

// Takes a free id and a fresh generation and notes in the kernel that keys will come.
Result<PolicyHandle> PolicyWriter::begin() {
    const std::uint16_t first = abi::PS_POLICY_FIRST;
    const std::uint16_t end =
        static_cast<std::uint16_t>(std::min<std::uint32_t>(abi::PS_POLICIES, maps_->policies.max_entries()));
    std::uint16_t id = last_id_;
    for (std::uint32_t tried = first; tried <= end; tried++) {
        id = id + 1U < end ? static_cast<std::uint16_t>(id + 1) : first;
        if (!known_.contains(id))
            break;
    }
    if (known_.contains(id))
        return Error{"map policies is full (" + std::to_string(known_.size()) + " policies)", ENOSPC};
    const auto generation = next_generation();
    if (!generation)
        return generation.error();
    const PolicyHandle handle{id, *generation};
    abi::ps_policy begun{};
    begun.generation = handle.generation;
    if (const auto done = maps_->policies.update(id, begun); !done)
        return done.error();
    last_id_ = id;
    known_[id] = {handle, 0, nullptr};
    return handle;
}

// Kept in the element of the unbound policy, so that no restart gives one twice.
Result<std::uint32_t> PolicyWriter::next_generation() {
    if (last_generation_ == UINT32_MAX)
        return fault("all 2^32 generations of policies were given: detach all and start anew");
    abi::ps_policy last{};
    last.generation = ++last_generation_;
    if (const auto done = maps_->policies.update(abi::PS_POLICY_UNBOUND, last); !done)
        return done.error();
    return last_generation_;
}

// What is looked up last is written first: nothing that a key names is ever missing.
Result<void> PolicyWriter::write(PolicyHandle handle, const policy::Image &image) {
    if (auto done = write_rule_sets(image); !done)
        return done;
    if (auto done = write_limits(handle.id, image); !done)
        return done;
    Batch<abi::ps_resolver_key, std::uint8_t> resolvers(image.resolvers.size());
    for (const policy::Address &resolver : image.resolvers)
        resolvers.add(resolver_key(handle.id, resolver), 1);
    Batch<abi::ps_name_key, abi::ps_match> names(image.names.size());
    for (const policy::NameEntry &entry : image.names)
        names.add(name_key(handle.id, entry.reversed), entry.match);
    Batch<abi::ps_cidr4_key, abi::ps_match> cidrs4(0);
    Batch<abi::ps_cidr6_key, abi::ps_match> cidrs6(0);
    for (const policy::CidrEntry &entry : image.cidrs)
        if (is_v4(entry.cidr))
            cidrs4.add(cidr4_key(handle.id, entry.cidr), entry.match);
        else
            cidrs6.add(cidr6_key(handle.id, entry.cidr), entry.match);
    if (auto done = resolvers.write(maps_->resolvers, written_); !done)
        return done;
    if (auto done = names.write(maps_->names, written_); !done)
        return done;
    if (auto done = cidrs4.write(maps_->cidrs4, written_); !done)
        return done;
    return cidrs6.write(maps_->cidrs6, written_);
}

Result<void> PolicyWriter::write_rule_sets(const policy::Image &image) {
    Batch<abi::ps_port_key, abi::ps_port_rule> ports(0);
    for (const auto &[id, entries] : image.rule_sets) {
        if (rule_set_uses_.contains(id))
            continue;
        for (const policy::PortEntry &entry : entries)
            ports.add(port_key(id, entry), entry.rule);
    }
    return ports.write(maps_->ports, written_);
}

Result<void> PolicyWriter::write_element(PolicyHandle handle, const abi::ps_policy &settings) {
    abi::ps_policy element = settings;
    element.generation = handle.generation;
    written_++;
    return maps_->policies.update(handle.id, element);
}

void PolicyWriter::bind(std::uint32_t slot, PolicyHandle handle) {
    maps_->slots.bind(slot, handle.binding());
}

Result<void> PolicyWriter::retire(PolicyHandle handle) {
    const auto known = known_.find(handle.id);
    if (known == known_.end() || known->second.handle != handle)
        return {};
    if (is_bound(handle.id))
        return Error{"policy id " + std::to_string(handle.id) + " is still bound to a slot", EBUSY};
    const ImagePtr image = known->second.image;
    if (!image)
        return erase_by_scan({handle.id});
    unuse(known->second);
    known->second.image = image; // its contents stay known until they are gone
    return erase_policy(handle.id, *image);
}

// First the mark "begun", last "free": a crash in between leaves an id that the next daemon cleans up.
Result<void> PolicyWriter::erase_policy(std::uint16_t id, const policy::Image &image) {
    Known &known = known_[id];
    known.content_hash = 0;
    abi::ps_policy begun{};
    begun.generation = known.handle.generation;
    if (auto done = maps_->policies.update(id, begun); !done)
        return done;
    if (auto done = erase_keys(id, image); !done)
        return done;
    if (auto done = erase_unused_rule_sets(image); !done)
        return done;
    if (auto done = maps_->policies.update(id, abi::ps_policy{}); !done)
        return done;
    known_.erase(id);
    return {};
}

Result<void> PolicyWriter::erase_keys(std::uint16_t id, const policy::Image &image) {
    for (const policy::NameEntry &entry : image.names)
        if (const auto done = maps_->names.erase(name_key(id, entry.reversed)); !done)
            return done.error();
    for (const policy::CidrEntry &entry : image.cidrs) {
        const auto done = is_v4(entry.cidr) ? maps_->cidrs4.erase(cidr4_key(id, entry.cidr))
                                            : maps_->cidrs6.erase(cidr6_key(id, entry.cidr));
        if (!done)
            return done.error();
    }
    for (const policy::Address &resolver : image.resolvers)
        if (const auto done = maps_->resolvers.erase(resolver_key(id, resolver)); !done)
            return done.error();
    return erase_limits(id, image);
}

Result<PolicyHandle> PolicyWriter::birth(std::uint16_t policy) const {
    const auto element = maps_->policies.lookup(policy);
    if (!element)
        return element.error();
    if (policy >= abi::PS_POLICY_FIRST || !*element || (*element)->generation == 0)
        return fault("policy id " + std::to_string(policy) + " is not a birth policy");
    return PolicyHandle{policy, (*element)->generation};
}

std::optional<PolicyHandle> PolicyWriter::find(std::uint64_t content_hash) const {
    for (const auto &[id, known] : known_)
        if (content_hash != 0 && known.content_hash == content_hash)
            return known.handle;
    return std::nullopt;
}

ImagePtr PolicyWriter::image(std::uint16_t id) const {
    const auto known = known_.find(id);
    return known == known_.end() ? nullptr : known->second.image;
}

bool PolicyWriter::is_bound(std::uint16_t id) const {
    for (std::uint32_t slot = 0; slot < kernel::SlotTable::size(); slot++)
        if (PS_BINDING_POLICY(maps_->slots.read(slot).binding) == id)
            return true;
    return false;
}

} // namespace penstock::sync
