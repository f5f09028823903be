// SPDX-License-Identifier: Apache-2.0
// What the birth program knows: the patterns of the configuration, and the paths that policies select.
#include "userspace/daemon/enforcer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::daemon {
namespace {

using Entries = std::vector<std::pair<abi::ps_birth_key, abi::ps_birth>>;

abi::ps_birth_key birth_key(std::uint8_t kind, std::string_view text, bool whole = false) {
    abi::ps_birth_key key{};
    key.prefixlen = static_cast<std::uint32_t>(8 * (1 + text.size() + whole)); // whole: with the 0 after it
    key.kind = kind;
    std::memcpy(key.text, text.data(), std::min(text.size(), sizeof key.text));
    return key;
}

abi::ps_birth to_verdict(std::uint16_t policy) {
    abi::ps_birth value{};
    value.policy = policy;
    return value;
}

abi::ps_birth to_policy(const container::SelectedAtBirth &selected, std::uint16_t policy) {
    abi::ps_birth value{};
    value.policy = policy;
    value.level = static_cast<std::uint8_t>(selected.level);
    value.literal = selected.literal;
    value.least = static_cast<std::uint8_t>(selected.prefix.size() + selected.suffix.size());
    value.suffix_length = static_cast<std::uint8_t>(selected.suffix.size());
    std::memcpy(value.suffix, selected.suffix.data(), selected.suffix.size());
    return value;
}

// What does not fit can't be told beforehand: the daemon binds it when it is there.
bool fits(const container::SelectedAtBirth &selected) {
    return selected.prefix.size() + selected.suffix.size() < abi::PS_BIRTH_PATTERN_MAX &&
           selected.suffix.size() <= abi::PS_BIRTH_SUFFIX_MAX && selected.level < abi::PS_LEVELS;
}

// Makes the map's entries of some kinds those wanted. What is not wanted goes whatever else fails, since its policy's id
// will be another's; what found no room before has some after that. The first error that stays counts.
Result<void> replace(decltype(kernel::Maps::birth) &map, const Entries &wanted, auto &&of_kind) {
    Entries without_room;
    for (const auto &entry : wanted)
        if (!map.update(entry.first, entry.second))
            without_room.push_back(entry);
    Result<void> result;
    std::vector<abi::ps_birth_key> stale;
    auto read = map.for_each([&](const abi::ps_birth_key &key, const abi::ps_birth &) {
        const auto same = [&](const auto &entry) { return std::memcmp(&entry.first, &key, sizeof key) == 0; };
        if (of_kind(key.kind) && std::none_of(wanted.begin(), wanted.end(), same))
            stale.push_back(key);
    });
    if (!read)
        result = read.error();
    for (const auto &key : stale)
        if (auto erased = map.erase(key); !erased && result)
            result = erased.error();
    for (const auto &[key, value] : without_room)
        if (auto written = map.update(key, value); !written) {
            (void)map.erase(key); // what stood there before names an old policy
            if (result)
                result = written.error();
        }
    return result;
}

} // namespace

// Strict roots are rows, see place().
Result<void> Enforcer::write_birth_patterns() {
    Entries wanted;
    for (const auto &rule : options_.birth.names)
        wanted.emplace_back(birth_key(abi::PS_BIRTH_NAME, rule.text), to_verdict(rule.policy));
    for (const auto &rule : options_.birth.paths)
        wanted.emplace_back(birth_key(abi::PS_BIRTH_PATH, rule.text), to_verdict(rule.policy));
    const auto configured = [](auto kind) {
        return kind == abi::PS_BIRTH_NAME || kind == abi::PS_BIRTH_PATH;
    };
    auto written = replace(gate_.maps().birth, wanted, configured);
    return written ? written : written.error().in("birth patterns");
}

// After their images are in the kernel, before the old ones go.
Result<void> Enforcer::write_selected_at_birth() {
    Entries wanted;
    for (const auto &selected : selection_->at_birth()) {
        if (!fits(selected))
            continue;
        const auto image = images_.find(selected.policies);
        wanted.emplace_back(birth_key(abi::PS_BIRTH_SELECTED, selected.prefix, selected.literal),
                            to_policy(selected, image == images_.end() ? 0 : image->second.handle.id));
    }
    const auto selecting = [](auto kind) { return kind == abi::PS_BIRTH_SELECTED; };
    auto written = replace(gate_.maps().birth, wanted, selecting);
    return written ? written : written.error().in("selected paths");
}

} // namespace penstock::daemon
