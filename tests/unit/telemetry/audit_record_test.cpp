// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/audit_record.h"

#include "tests/catch_result.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::telemetry;
using Kind = Audited::Kind;

namespace {

Event denial(std::uint8_t reason, std::string remote = "192.0.2.1", std::uint16_t port = 443) {
    Event event;
    event.kind = abi::PS_EVENT_DENIED;
    event.verdict = abi::PS_WOULD_DENY;
    event.reason = reason;
    event.protocol = 6;
    event.container = "/a b/web";
    event.remote = std::move(remote);
    event.remote_port = port;
    event.time = AuditRecord::Time(std::chrono::seconds(1'000'000));
    return event;
}

Event asked(std::string name, std::uint8_t reason = abi::PS_R_NAME_NOT_ALLOWED) {
    auto event = denial(reason, "10.0.0.2", 53);
    event.name = std::move(name);
    return event;
}

} // namespace

TEST_CASE("an event of audit is a question, a flow, a resolver or its reason") {
    CHECK(audited(asked("a.test"))->kind == Kind::question);
    CHECK(audited(asked("a.test", abi::PS_R_BIRTH))->name == "a.test");
    CHECK(audited(asked("a b\n", abi::PS_R_NAME_DENIED))->name == "name-denied");
    CHECK(audited(denial(abi::PS_R_RESOLVER, "192.0.2.53", 53))->kind == Kind::resolver);
    CHECK(audited(denial(abi::PS_R_BIRTH, "192.0.2.53", 53))->kind == Kind::resolver);
    CHECK(audited(denial(abi::PS_R_BIRTH))->kind == Kind::flow);
    CHECK(audited(denial(abi::PS_R_NO_RULE))->port == 443);
    CHECK(audited(denial(abi::PS_R_RAW_SOCKET, "", 0))->name == "raw-socket");
    CHECK(audited(denial(abi::PS_R_NO_RULE, "127.0.0.1"))->kind == Kind::other);
    auto arriving = denial(abi::PS_R_INBOUND_DENIED);
    arriving.direction = abi::PS_INGRESS;
    CHECK(audited(arriving)->name == "inbound-denied (ingress)");
    auto ping = denial(abi::PS_R_NO_RULE, "2001:db8::1", 8);
    ping.protocol = 58;
    CHECK(audited(ping)->port == 0);
    auto enforced = denial(abi::PS_R_NO_RULE);
    enforced.verdict = abi::PS_DENY;
    CHECK_FALSE(audited(enforced));
}

TEST_CASE("a record counts, keeps first and last, and gets the names of its addresses") {
    AuditRecords records;
    for (int second = 0; second < 3; ++second) {
        auto event = denial(abi::PS_R_NO_RULE);
        event.time += std::chrono::seconds(second);
        records.add(event);
    }
    auto *record = records.find("/a b/web");
    REQUIRE(record);
    REQUIRE(record->entries().size() == 1);
    const auto &entry = record->entries().front();
    CHECK(entry.times == 3);
    CHECK(entry.last - entry.first == std::chrono::seconds(2));
    CHECK(record->has_new_flows);
    record->attach({{entry.what.remote, {"b.test", "a.test", "b.test", "not plain"}}});
    CHECK(entry.learned == std::vector<std::string>{"a.test", "b.test"});
}

TEST_CASE("what was seen longest ago goes, and is counted") {
    AuditRecords records({.entries_each = 2, .entries = 3});
    records.add(asked("a.test"));
    records.add(asked("b.test"));
    records.add(asked("a.test"));
    records.add(asked("c.test")); // b goes
    const auto &record = *records.find("/a b/web");
    CHECK(record.entries().size() == 2);
    CHECK(record.entries().front().what.name == "a.test");
    CHECK(record.dropped() == 1);
}

TEST_CASE(
    "over the bound of all the longest record loses, and counts it: a noisy neighbour costs nobody else") {
    AuditRecords records({.entries_each = 100, .entries = 6});
    records.add(asked("victim.test")); // once, long ago, and silent since
    records.add(asked("victim2.test"));
    const auto flood = [&](const std::string &path, int first, int count) {
        for (int i = first; i < first + count; ++i) {
            auto event = asked("x" + std::to_string(i) + ".test");
            event.container = path;
            event.time += std::chrono::hours(1);
            records.add(event);
            records.add(event); // each twice
        }
    };
    flood("/noisy", 0, 50);
    CHECK(records.find("/a b/web")->entries().size() == 2);
    CHECK(records.find("/a b/web")->dropped() == 0);
    CHECK(records.find("/noisy")->entries().size() == 4);
    CHECK(records.find("/noisy")->dropped() == 2 * 46);
    for (int i = 0; i < 20; ++i) // one entry each: all lose, none without a word
        flood("/many" + std::to_string(i), 0, 1);
    CHECK(records.all().size() <= 6);
    std::size_t entries = 0;
    for (const auto &[path, record] : records.all())
        entries += record.entries().size();
    CHECK(entries == 6);
    CHECK(AuditRecords::parse(records.text())->text() == records.text());
}

TEST_CASE("a record is the same after it was written and read") {
    AuditRecords records({.entries_each = 3, .entries = 100});
    for (const char *name : {"gone.test", "a.test"})
        records.add(asked(name));
    records.add(denial(abi::PS_R_NO_RULE, "2001:db8::1", 8443));
    records.add(denial(abi::PS_R_RESOLVER, "192.0.2.53", 53));
    records.find("/a b/web")->attach({{*policy::Address::parse("2001:db8::1"), {"x.test", "y.test"}}});
    auto other = denial(abi::PS_R_PROTOCOL);
    other.container = "/other";
    other.protocol = 132;
    records.add(other);
    const auto text = records.text();
    const auto read = AuditRecords::parse(text);
    REQUIRE(read);
    CHECK(read->text() == text);
    CHECK(text.find("container 1 /a b/web\n") != std::string::npos);
    CHECK(text.find("other 1 1000000000 1000000000 protocol 132\n") != std::string::npos);
    CHECK_FALSE(AuditRecords::parse(text.substr(0, text.size() - 2)));
    CHECK_FALSE(AuditRecords::parse("penstock audit 1\nquestion 1 2 3 a\nend\n"));
    CHECK_FALSE(AuditRecords::parse("penstock audit 1\ncontainer 0 /a\nflow 1 2 3 6 443 nowhere\nend\n"));
}
