// SPDX-License-Identifier: Apache-2.0
// Rates, quotas and durations.
#include "policy/units.h"

#include "policy/limit_text.h"

#include <catch2/catch.hpp>

using namespace penstock::policy;

namespace {

template <class T> std::string fault(const Outcome<T> &outcome) {
    return outcome ? "no fault" : outcome.error().message;
}

constexpr std::uint64_t s = 1'000'000'000;

} // namespace

TEST_CASE("rates of octets and counts") {
    CHECK(*parse_rate("10MiB/s burst 20MiB", Quantity::octets) == Rate{10 << 20, s, 20 << 20});
    CHECK(*parse_rate("50MB/s", Quantity::octets) == Rate{50'000'000, s, 0});
    CHECK(*parse_rate("50/s burst 100", Quantity::count) == Rate{50, s, 100});
    CHECK(*parse_rate("120/min burst 20", Quantity::count) == Rate{120, 60 * s, 20});
    CHECK(*parse_rate("120/m", Quantity::count) == Rate{120, 60 * s, 0});
    CHECK(*parse_rate("5/10s", Quantity::count) == Rate{5, 10 * s, 0});
    CHECK(*parse_rate("1/h", Quantity::count) == Rate{1, 3600 * s, 0});
    CHECK(*parse_rate("1TiB/d  burst  1500B", Quantity::octets) == Rate{1ull << 40, 86400 * s, 1500});
}

TEST_CASE("every size and time unit") {
    const std::pair<const char *, std::uint64_t> sizes[] = {{"7B/s", 7},
                                                            {"7KB/s", 7'000},
                                                            {"7KiB/s", 7ull << 10},
                                                            {"7MB/s", 7'000'000},
                                                            {"7MiB/s", 7ull << 20},
                                                            {"7GB/s", 7'000'000'000},
                                                            {"7GiB/s", 7ull << 30},
                                                            {"7TB/s", 7'000'000'000'000},
                                                            {"7TiB/s", 7ull << 40}};
    for (const auto &[text, octets] : sizes)
        CHECK(parse_rate(text, Quantity::octets)->amount == octets);
    CHECK(*parse_quota("1GiB/24h") == Quota{1 << 30, 86400});
    CHECK(*parse_quota("20GiB/30d") == Quota{20ull << 30, 30 * 86400});
    CHECK(*parse_quota("1B/365d") == Quota{1, 365 * 86400});
    CHECK(*parse_seconds("30s") == 30);
    CHECK(*parse_seconds("5m") == 300);
    CHECK(*parse_seconds("5min") == 300);
    CHECK(*parse_seconds("2h") == 7200);
}

TEST_CASE("zero, negative, too large and part amounts are faults") {
    for (const char *text : {"0B/s", "00MiB/s", "10MiB/0s", "10MiB/s burst 0MiB"})
        CHECK_THAT(fault(parse_rate(text, Quantity::octets)), Catch::Contains("zero"));
    for (const char *text : {"-1B/s", "10MiB/-1s", "10MiB/s burst -5MiB"})
        CHECK_THAT(fault(parse_rate(text, Quantity::octets)), Catch::Contains("negative"));
    for (const char *text : {"18446744073709551616B/s", "16777216TiB/s", "10MiB/s burst 99999999999TiB"})
        CHECK_THAT(fault(parse_rate(text, Quantity::octets)), Catch::Contains("too large"));
    CHECK(parse_rate("16777215TiB/s", Quantity::octets));
    CHECK(parse_rate("18446744073709551615B/s", Quantity::octets));
    CHECK_THAT(fault(parse_quota("1.5GiB/24h")), Catch::Contains("smaller unit"));
    CHECK_THAT(fault(parse_seconds("0s")), Catch::Contains("zero"));
}

TEST_CASE("units are exact, and a near miss is named") {
    CHECK_THAT(fault(parse_rate("10Mib/s", Quantity::octets)), Catch::Contains("did you mean \"MiB\"?"));
    CHECK_THAT(fault(parse_rate("10b/s", Quantity::octets)), Catch::Contains("did you mean \"B\"?"));
    CHECK_THAT(fault(parse_rate("10/s", Quantity::octets)), Catch::Contains("a unit is missing"));
    CHECK_THAT(fault(parse_rate("10PiB/s", Quantity::octets)), Catch::Contains("unknown unit \"PiB\""));
    CHECK_THAT(fault(parse_rate("10MiB/w", Quantity::octets)), Catch::Contains("expected s, min, m, h or d"));
    CHECK_THAT(fault(parse_rate("10KiB/s", Quantity::count)), Catch::Contains("a count has no unit"));
    CHECK_THAT(fault(parse_seconds("30")), Catch::Contains("a unit is missing"));
    CHECK_THAT(fault(parse_seconds("30ms")), Catch::Contains("unknown unit"));
}

TEST_CASE("a burst holds at least one packet") {
    CHECK(parse_rate("1MiB/s burst 1500B", Quantity::octets));
    CHECK_THAT(fault(parse_rate("1MiB/s burst 1499B", Quantity::octets)),
               Catch::Contains("smaller than one packet"));
    CHECK(parse_rate("10/s burst 1", Quantity::count));
    CHECK_THAT(fault(parse_rate("10/s burst 0", Quantity::count)),
               Catch::Contains("burst: the amount is zero"));
}

TEST_CASE("no window is longer than a year") {
    CHECK(parse_quota("1GiB/8760h"));
    for (const char *text :
         {"1GiB/8761h", "1GiB/366d", "1GiB/99999999999999999999d", "1GiB/18446744073709551615d"})
        CHECK_FALSE(parse_quota(text));
    CHECK_THAT(fault(parse_quota("1GiB/366d")), Catch::Contains("longer than a year"));
    CHECK_THAT(fault(parse_rate("1/400d", Quantity::count)), Catch::Contains("longer than a year"));
}

TEST_CASE("what is no rate at all is a fault that shows the form") {
    for (const char *text :
         {"", " ", "fast", "10MiB", "10MiB/", "10MiB/s burst", "10MiB/s burst ", "10MiB/s 20MiB",
          "10MiB/s burst 20MiB x", "10MiB / s", "10 MiB/s", "/s", "10MiB/s bust 20MiB", "10MiB/s20"}) {
        INFO(text);
        CHECK_FALSE(parse_rate(text, Quantity::octets));
    }
    CHECK_THAT(fault(parse_rate("10MiB", Quantity::octets)), Catch::Contains("expected / and a time"));
    CHECK_FALSE(parse_quota("1GiB/24h burst 2GiB"));
    CHECK_FALSE(parse_seconds("30s 20s"));
}

TEST_CASE("a quota may count one direction, and is less than 2^48 octets") {
    CHECK(parse_quota("1GiB/24h")->directions == Quota::both);
    CHECK(*parse_quota("1GiB/24h egress") == Quota{1 << 30, 86400, Quota::egress});
    CHECK(*parse_quota("1GiB/24h  ingress") == Quota{1 << 30, 86400, Quota::ingress});
    for (const char *text : {"1GiB/24h both", "1GiB/24h egress ingress", "1GiB/24h ", "1GiB/24h,egress"})
        CHECK_THAT(fault(parse_quota(text)), Catch::Contains("after the quota"));
    CHECK_FALSE(parse_quota("1GiB/24hegress"));
    CHECK(parse_quota("281474976710655B/d"));
    CHECK_THAT(fault(parse_quota("256TiB/d")), Catch::Contains("less than 256TiB"));
    CHECK_THAT(fault(parse_quota("1GiB/0s")), Catch::Contains("zero"));
    CHECK_THAT(fault(parse_quota("1GiB/500ms")), Catch::Contains("unknown unit \"ms\""));
}

TEST_CASE("a rate whose burst takes more than a year to come back is a fault") {
    CHECK(parse_rate("1/365d", Quantity::count));
    CHECK_THAT(fault(parse_rate("1/365d burst 2", Quantity::count)),
               Catch::Contains("burst of 2 takes more than a year"));
    CHECK(parse_rate("144KiB/365d", Quantity::octets));
    CHECK_THAT(fault(parse_rate("143KiB/365d", Quantity::octets)), Catch::Contains("burst of 147456B takes"));
    CHECK(parse_rate("64/365d", Quantity::packets));
    CHECK_THAT(fault(parse_rate("63/365d", Quantity::packets)), Catch::Contains("burst of 64 takes"));
    CHECK_THAT(fault(parse_rate("1B/s burst 16777215TiB", Quantity::octets)),
               Catch::Contains("more than a year"));
    CHECK(parse_rate("10/s burst 1", Quantity::packets));
}

TEST_CASE("limits are written as they are read") {
    for (const char *text : {"10MiB/s burst 20MiB", "50MB/s", "7B/min", "1TiB/30d burst 1500B", "999KB/7s"})
        CHECK(rate_text(*parse_rate(text, Quantity::octets), Quantity::octets) == text);
    for (const char *text : {"120/min burst 20", "50/s", "5/10s", "1/h"})
        CHECK(rate_text(*parse_rate(text, Quantity::count), Quantity::count) == text);
    for (const char *text : {"1GiB/24h", "20GiB/30d egress", "1B/s ingress"})
        CHECK(quota_text(*parse_quota(text)) == text);
    for (const char *text :
         {"7B/s", "7KB/3min", "7KiB/h", "7MB/3d", "7MiB/3s", "7GB/min", "7GiB/3h", "7TB/s", "7TiB/s"})
        CHECK(rate_text(*parse_rate(text, Quantity::octets), Quantity::octets) == text);
    CHECK(rate_text(*parse_rate("9/m", Quantity::count), Quantity::count) == "9/min");
}
