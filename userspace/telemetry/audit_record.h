// SPDX-License-Identifier: Apache-2.0
// What audit mode would have denied, by container, from events: what `penstock suggest` is made of. Bounded: what the
// longest record has not seen for the longest time goes, so that a noisy container costs itself; each counts what it lost. A
// value with text form; the caller writes the file.
#pragma once

#include "policy/model.h"
#include "userspace/base/result.h"
#include "userspace/telemetry/event.h"

#include <chrono>
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::telemetry {

// A thing that a policy could allow, or (other) the reason why none can.
struct Audited {
    enum class Kind : std::uint8_t { question, flow, resolver, other };
    Kind kind = Kind::other;
    std::string name{};       // question: asked for; other: the reason's word
    policy::Address remote{}; // flow, resolver
    std::uint8_t protocol = 0;
    std::uint16_t port = 0; // flow
    auto operator<=>(const Audited &) const = default;
};

// None: the event is no denial of audit mode.
std::optional<Audited> audited(const Event &);

struct AuditEntry {
    Audited what;
    std::uint64_t times = 0;
    std::chrono::system_clock::time_point first, last;
    std::vector<std::string> learned; // flow: names that taught the address; sorted, at most 8
};

// Of one container.
class AuditRecord {
  public:
    using Time = std::chrono::system_clock::time_point;
    using NamesOf = std::map<policy::Address, std::vector<std::string>>;

    bool see(const Audited &, Time); // false: it was known
    void put(AuditEntry);            // as see, of an older record
    void drop_oldest();
    void attach(const NamesOf &); // to its flows

    const std::list<AuditEntry> &entries() const { return entries_; } // least recently seen first
    std::uint64_t dropped() const { return dropped_; }
    void set_dropped(std::uint64_t count) { dropped_ = count; }
    bool has_new_flows = false; // since the caller last looked their names up

  private:
    std::list<AuditEntry> entries_;
    std::map<Audited, std::list<AuditEntry>::iterator> places_;
    std::uint64_t dropped_ = 0;
};

// Of all containers, by cgroup path: a service that is started again goes on with its record.
class AuditRecords {
  public:
    struct Bounds {
        std::size_t entries_each = 4096, entries = 32768;
    };
    AuditRecords() = default;
    explicit AuditRecords(Bounds bounds) : bounds_(bounds) {}

    void add(const Event &);
    AuditRecord *find(const std::string &path);
    std::map<std::string, AuditRecord> &all() { return records_; }
    std::uint64_t changes() const { return changes_; } // raised with each

    std::string text() const;
    static Result<AuditRecords> parse(std::string_view text);

  private:
    void resized(const std::string &path, std::size_t before, std::size_t now);
    void make_room();

    Bounds bounds_;
    std::map<std::string, AuditRecord> records_;
    std::set<std::pair<std::size_t, std::string>> by_size_; // entries and path of each
    std::size_t count_ = 0;
    std::uint64_t changes_ = 0;
};

} // namespace penstock::telemetry
