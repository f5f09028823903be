// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/audit_record.h"

#include "userspace/telemetry/names.h"

#include <algorithm>
#include <utility>

namespace penstock::telemetry {
namespace {

constexpr std::uint8_t icmp = 1, tcp = 6, udp = 17, icmp6 = 58;
constexpr std::uint16_t dns_port = 53;
constexpr std::size_t most_names = 8; // as the kernel keeps of an address

Audited other(const Event &event) {
    std::string name = reason_name(event.reason);
    if (event.reason == abi::PS_R_PROTOCOL)
        name += " " + protocol_name(event.protocol);
    if (event.direction == abi::PS_INGRESS)
        name += " (ingress)";
    return {Audited::Kind::other, std::move(name)};
}

bool is_plain(std::string_view name) {
    return !name.empty() &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool is_dns(const Event &event) {
    return (event.protocol == tcp || event.protocol == udp) && event.remote_port == dns_port;
}

} // namespace

// Of a container whose policy is not known every reason is `birth`: what was asked says what it was.
std::optional<Audited> audited(const Event &event) {
    if (event.kind != abi::PS_EVENT_DENIED || event.verdict != abi::PS_WOULD_DENY)
        return std::nullopt;
    const auto remote = policy::Address::parse(event.remote);
    switch (event.direction == abi::PS_EGRESS ? event.reason : +abi::PS_R_NONE) {
    case abi::PS_R_NAME_NOT_ALLOWED:
    case abi::PS_R_NAME_DENIED:
    case abi::PS_R_REVERSE_NOT_ALLOWED:
        return is_plain(event.name) ? Audited{Audited::Kind::question, event.name} : other(event);
    case abi::PS_R_RESOLVER:
        return remote ? Audited{Audited::Kind::resolver, "", *remote} : other(event);
    case abi::PS_R_BIRTH:
        if (is_plain(event.name))
            return Audited{Audited::Kind::question, event.name};
        if (remote && is_dns(event))
            return Audited{Audited::Kind::resolver, "", *remote};
        [[fallthrough]];
    case abi::PS_R_NO_RULE:
    case abi::PS_R_DENY_RULE:
        if (!remote || remote->is_loopback())
            return other(event);
        if (event.protocol == tcp || event.protocol == udp)
            return Audited{Audited::Kind::flow, "", *remote, event.protocol, event.remote_port};
        if (event.protocol == icmp || event.protocol == icmp6)
            return Audited{Audited::Kind::flow, "", *remote, event.protocol, 0};
        return other(event);
    default:
        return other(event);
    }
}

bool AuditRecord::see(const Audited &what, Time time) {
    has_new_flows = has_new_flows || what.kind == Audited::Kind::flow;
    const auto found = places_.find(what);
    if (found == places_.end()) {
        entries_.push_back({what, 1, time, time, {}});
        places_[what] = std::prev(entries_.end());
        return true;
    }
    auto &entry = *found->second;
    ++entry.times;
    entry.first = std::min(entry.first, time);
    entry.last = std::max(entry.last, time);
    entries_.splice(entries_.end(), entries_, found->second);
    return false;
}

void AuditRecord::put(AuditEntry entry) {
    if (places_.contains(entry.what))
        return;
    const auto what = entry.what;
    entries_.push_back(std::move(entry));
    places_[what] = std::prev(entries_.end());
}

void AuditRecord::drop_oldest() {
    dropped_ += entries_.front().times;
    places_.erase(entries_.front().what);
    entries_.pop_front();
}

void AuditRecord::attach(const NamesOf &names) {
    for (auto &entry : entries_) {
        if (entry.what.kind != Audited::Kind::flow)
            continue;
        const auto found = names.find(entry.what.remote);
        if (found == names.end())
            continue;
        for (const auto &name : found->second) {
            const auto place = std::lower_bound(entry.learned.begin(), entry.learned.end(), name);
            if (entry.learned.size() < most_names && is_plain(name) &&
                (place == entry.learned.end() || *place != name))
                entry.learned.insert(place, name);
        }
    }
}

void AuditRecords::add(const Event &event) {
    const auto what = event.container.empty() ? std::nullopt : audited(event);
    if (!what)
        return;
    ++changes_;
    auto &record = records_[event.container];
    const auto before = record.entries().size();
    if (!record.see(*what, event.time))
        return;
    if (record.entries().size() > bounds_.entries_each)
        record.drop_oldest();
    resized(event.container, before, record.entries().size());
    make_room();
}

void AuditRecords::resized(const std::string &path, std::size_t before, std::size_t now) {
    count_ = count_ - before + now;
    by_size_.erase({before, path});
    by_size_.emplace(now, path);
}

AuditRecord *AuditRecords::find(const std::string &path) {
    const auto found = records_.find(path);
    return found == records_.end() ? nullptr : &found->second;
}

// One that has lost all still says how much it was, while there is room for its path.
void AuditRecords::make_room() {
    while (count_ > bounds_.entries) {
        const auto [size, path] = *by_size_.rbegin();
        records_.at(path).drop_oldest();
        resized(path, size, size - 1);
    }
    while (records_.size() > bounds_.entries) { // more than there are entries: the shortest is empty
        records_.erase(by_size_.begin()->second);
        by_size_.erase(by_size_.begin());
    }
}

} // namespace penstock::telemetry
