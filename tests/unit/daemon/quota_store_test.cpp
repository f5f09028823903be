// SPDX-License-Identifier: Apache-2.0
#include "tests/catch_result.h"
#include "userspace/daemon/quota_store.h"

#include "bpf/abi.h"

#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::daemon;

namespace {

constexpr std::uint64_t second = 1'000'000'000, hour = 3600 * second;

Moment at(std::uint64_t boot_ns, std::int64_t wall_ns, const std::string &boot) {
    return {wall_ns, boot_ns, boot};
}

// 500 octets spent, 10 on top, of a day that turns in an hour; said at 100 h after boot "a", at 1000 s of the wall's.
const Moment then = at(100 * hour, 1000 * second, "a");

QuotaStore stored() {
    QuotaStore store;
    store.all()[{"/p/web", "agents", "llm"}] = {500, 10, 80, 24 * hour, 101 * hour, 7, 3};
    return store;
}

std::string text_of(const QuotaStore &store, const Moment &now) {
    return QuotaStore::text({store.all().begin(), store.all().end()}, now).octets;
}

std::string text_with(const std::string &lines) {
    return "penstock quotas 1\nwritten 1000000000000 360000000000000 a\n" + lines;
}

} // namespace

TEST_CASE("quotas read back are those written, whatever the names hold") {
    QuotaStore store = stored();
    const KeptQuota other{1, 2, 0, second, 100 * hour + second, 0, 0};
    const QuotaKey keys[] = {{"/p/web", "", ""},
                             {"/a b\n%41\xff/\x7f", "-", "-"},
                             {"/-", "agents", "allow[0]"},
                             {"/x", "two words", "end"}};
    for (const auto &key : keys)
        store.all()[key] = other;
    const auto text = text_of(store, then);
    const auto read = QuotaStore::parse(text, then);
    REQUIRE(read);
    REQUIRE(read->all().size() == 5);
    for (const auto &[key, quota] : store.all()) {
        INFO(key.container);
        auto expected = quota;
        expected.slot = expected.serial = 0; // of no row there is
        CHECK(read->all().at(key) == expected);
    }
    CHECK(text_of(*read, then) == text);
}

TEST_CASE("on the same boot only its clock counts: a step of the wall clock changes nothing") {
    const auto text = text_of(stored(), then);
    const auto wall = GENERATE(std::int64_t{0}, std::int64_t{1000} * std::int64_t(second),
                               std::int64_t{9'000'000} * std::int64_t(second));
    const auto read = QuotaStore::parse(text, at(100 * hour + 10 * second, wall, "a"));
    REQUIRE(read);
    REQUIRE(read->all().size() == 1);
    CHECK(read->all().begin()->second.turns_ns == 101 * hour);
}

TEST_CASE("over a reboot the wall clock says what has passed, and never that time went back") {
    const auto text = text_of(stored(), then);
    const std::uint64_t up = 30 * second; // younger than the window: it began before this boot
    const auto [later_s, left] = GENERATE(table<std::int64_t, std::uint64_t>(
        {{0, hour}, {600, hour - 600 * second}, {3599, second}, {-5, hour}, {-1000, hour}}));
    const auto read = QuotaStore::parse(text, at(up, then.wall_ns + later_s * std::int64_t(second), "b"));
    REQUIRE(read);
    REQUIRE(read->all().size() == 1);
    const auto &quota = read->all().begin()->second;
    CHECK(quota.octets == 500);
    CHECK(quota.granted == 10);
    CHECK(quota.told == 80);
    CHECK(quota.turns_ns == up + left);
    CHECK(quota.start_ns() == up + left - 24 * hour); // modulo 2^64
}

TEST_CASE("a window that turned in between is spent no more") {
    const auto text = text_of(stored(), then);
    const auto now = GENERATE(at(101 * hour, 0, "a"), at(500 * hour, 0, "a"),
                              at(1, then.wall_ns + 3600 * std::int64_t(second), "b"), at(1, INT64_MAX, "b"));
    const auto read = QuotaStore::parse(text, now);
    REQUIRE(read);
    CHECK(read->all().empty());
}

TEST_CASE("a boot that is not known is another") {
    const auto text = text_of(stored(), at(100 * hour, then.wall_ns, ""));
    const auto read = QuotaStore::parse(text, at(200 * hour, then.wall_ns, ""));
    REQUIRE(read);
    CHECK(read->all().size() == 1); // by the wall clock nothing has passed
}

TEST_CASE("a damaged file of quotas is one error that says what is wrong") {
    const auto [text, message] = GENERATE(table<std::string, std::string>({
        {"", "not a file of quotas"},
        {"penstock totals 1\nend\n", "not a file of quotas"},
        {"penstock quotas 2\nend\n", "not a file of quotas"},
        {"penstock quotas 1\nend\n", "no word of when"},
        {"penstock quotas 1\nwritten 1 2\nend\n", "no word of when"},
        {"penstock quotas 1\nwritten 1 -2 a\nend\n", "no word of when"},
        {text_with(""), "cut short"},
        {text_with("end"), "cut short"},
        {text_with("quota 1 0 0 10000000000 10 - - /a\n"), "cut short"},
        {text_with("quota 1 0 0 10000000000 10 - -\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10 - - /a b\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10 - - a\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10 p - /a\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10000000001 - - /a\nend\n"), "bad line"},
        {text_with("quota 1 0 0 0 0 - - /a\nend\n"), "bad line"},
        {text_with("quota 1 0 0 1500000000 10 - - /a\nend\n"), "bad line"}, // windows are whole seconds
        {text_with("quota 1 0 101 10000000000 10 - - /a\nend\n"), "bad line"},
        {text_with("quota 1x 0 0 10000000000 10 - - /a\nend\n"), "bad line"},
        {text_with("quota 281474976710656 0 0 10000000000 10 - - /a\nend\n"), "bad line"},
        {text_with("quota 1 0 0 99999999999999999999 1 - - /a\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10 - - /a%4\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10 - - /a%zz\nend\n"), "bad line"},
        {text_with("quota 1 0 0 10000000000 10 - - /a\nquota 1 0 0 10000000000 10 - - /a\nend\n"),
         "bad line"},
        {text_with("\nend\n"), "bad line"},
    }));
    const auto read = QuotaStore::parse(text, then);
    INFO(text);
    REQUIRE_FALSE(read);
    CHECK_THAT(read.error().message, Catch::Matchers::Contains(message));
}

TEST_CASE("a bad line is quoted cut and without control characters") {
    const char octet = GENERATE('x', '\x80', '\xff');
    const auto read =
        QuotaStore::parse(text_with("quota \x1b[2J" + std::string(1'000'000, octet) + "\nend\n"), then);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.size() < 200);
    CHECK(read.error().message.find('\x1b') == std::string::npos);
}

TEST_CASE("what is cut off at any place is refused") {
    const auto text = text_of(stored(), then);
    for (std::size_t length = 0; length < text.size(); ++length)
        CHECK_FALSE(QuotaStore::parse(std::string_view(text).substr(0, length), then));
}

TEST_CASE("there is a bound: of containers that are gone those go first whose windows turn first") {
    QuotaStore store;
    for (int i = 1; i <= 10; ++i) {
        KeptQuota quota{1, 0, 0, hour, static_cast<std::uint64_t>(i) * second, 0, 0};
        quota.slot = i == 2 ? 9 : 0; // it lives
        store.all()[{"/c" + std::to_string(i), "", ""}] = quota;
    }
    CHECK(store.trim(second, 20) == 0); // /c1 is over
    CHECK(store.all().size() == 9);
    CHECK(store.trim(second, 6) == 3);
    std::string left;
    for (const auto &[key, quota] : store.all())
        left += key.container;
    CHECK(left == "/c10/c2/c6/c7/c8/c9");
    CHECK(store.trim(second, 0) == 5);
    CHECK(store.all().begin()->first.container == "/c2");
}

TEST_CASE("what does not fit into the file is counted, and what does is whole") {
    QuotaStore store;
    for (int i = 0; i < 100; ++i)
        store.all()[{"/c" + std::to_string(i), "", ""}] = {500, 10, 80, 24 * hour, 101 * hour, 7, 3};
    const auto text = QuotaStore::text({store.all().begin(), store.all().end()}, then, 1000);
    CHECK(text.octets.size() <= 1000);
    const auto read = QuotaStore::parse(text.octets, then);
    REQUIRE(read);
    CHECK(read->all().size() > 5);
    CHECK(text.left_out == 100 - read->all().size());
    CHECK(QuotaStore::text({store.all().begin(), store.all().end()}, then).left_out == 0);
}
