// SPDX-License-Identifier: Apache-2.0
// A record of audit as lines of words. Names are plain text without blanks; a path is the rest of its line.
#include "userspace/telemetry/audit_record.h"

#include "policy/wording.h"

#include <sstream>
#include <utility>

namespace penstock::telemetry {
namespace {

constexpr std::string_view first_line = "penstock audit 1";
using Time = AuditRecord::Time;

std::int64_t milliseconds(Time time) {
    return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
Time time_of(std::int64_t milliseconds) {
    return Time(std::chrono::duration_cast<Time::duration>(std::chrono::milliseconds(milliseconds)));
}

void write(std::ostream &out, const AuditEntry &entry) {
    const auto &what = entry.what;
    const auto seen = [&](const char *kind) -> std::ostream & {
        return out << kind << ' ' << entry.times << ' ' << milliseconds(entry.first) << ' '
                   << milliseconds(entry.last) << ' ';
    };
    switch (what.kind) {
    case Audited::Kind::question:
        seen("question") << what.name;
        break;
    case Audited::Kind::flow:
        seen("flow") << +what.protocol << ' ' << what.port << ' ' << what.remote.text();
        for (const auto &name : entry.learned)
            out << ' ' << name;
        break;
    case Audited::Kind::resolver:
        seen("resolver") << what.remote.text();
        break;
    case Audited::Kind::other:
        seen("other") << what.name;
        break;
    }
    out << '\n';
}

bool read_address(std::istream &words, policy::Address &address) {
    std::string text;
    words >> text;
    const auto parsed = policy::Address::parse(text);
    if (parsed)
        address = *parsed;
    return parsed.has_value();
}

bool read(const std::string &kind, std::istream &words, AuditEntry &entry) {
    std::int64_t first = 0, last = 0;
    words >> entry.times >> first >> last;
    entry.first = time_of(first);
    entry.last = time_of(last);
    auto &what = entry.what;
    if (kind == "question") {
        what.kind = Audited::Kind::question;
        words >> what.name;
    } else if (kind == "resolver") {
        what.kind = Audited::Kind::resolver;
        return read_address(words, what.remote) && !words.fail();
    } else if (kind == "flow") {
        unsigned protocol = 0;
        what.kind = Audited::Kind::flow;
        words >> protocol >> what.port;
        what.protocol = static_cast<std::uint8_t>(protocol);
        if (words.fail() || !read_address(words, what.remote))
            return false;
        for (std::string name; words >> name;)
            entry.learned.push_back(name);
        return true;
    } else if (kind == "other") {
        words >> std::ws;
        std::getline(words, what.name);
    } else {
        return false;
    }
    return !words.fail();
}

} // namespace

std::string AuditRecords::text() const {
    std::ostringstream out;
    out << first_line << '\n';
    for (const auto &[path, record] : records_) {
        out << "container " << record.dropped() << ' ' << path << '\n';
        for (const auto &entry : record.entries())
            write(out, entry);
    }
    out << "end\n"; // a file cut short is seen
    return out.str();
}

Result<AuditRecords> AuditRecords::parse(std::string_view text) {
    std::istringstream in{std::string(text)};
    std::string line;
    if (!std::getline(in, line) || line != first_line)
        return fault("read audit: not a record of audit");
    AuditRecords records;
    AuditRecord *record = nullptr;
    while (std::getline(in, line) && line != "end") {
        std::istringstream words(line);
        std::string kind, path;
        words >> kind;
        if (kind == "container") {
            std::uint64_t dropped = 0;
            words >> dropped >> std::ws;
            std::getline(words, path);
            if (words.fail())
                return fault("read audit: bad line " + policy::quoted(line));
            record = &records.records_[path];
            record->set_dropped(dropped);
            continue;
        }
        AuditEntry entry;
        if (!record || !read(kind, words, entry))
            return fault("read audit: bad line " + policy::quoted(line));
        record->put(std::move(entry));
    }
    if (line != "end")
        return fault("read audit: the file is cut short");
    for (auto &[path, each] : records.records_) {
        while (each.entries().size() > records.bounds_.entries_each)
            each.drop_oldest();
        records.resized(path, 0, each.entries().size());
    }
    records.make_room();
    return records;
}

} // namespace penstock::telemetry
