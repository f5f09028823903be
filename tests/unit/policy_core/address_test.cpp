// SPDX-License-Identifier: Apache-2.0
#include "policy/model.h"

#include <catch2/catch.hpp>

using penstock::policy::Address;
using penstock::policy::Cidr;

TEST_CASE("addresses are read and written in one form") {
    const auto [in, out] = GENERATE(table<std::string, std::string>({
        {"10.0.0.1", "10.0.0.1"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"::ffff:a00:1", "10.0.0.1"},
        {"FD00::1", "fd00::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, // RFC 5952, 4.2.3: the first of two equal runs
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, // 4.2.2: one group is not shortened
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:102:304", "::102:304"},
    }));
    const auto address = Address::parse(in);
    REQUIRE(address);
    CHECK(address->text() == out);
    CHECK(Address::parse(address->text()) == address);
}

TEST_CASE("what is no address is refused") {
    const std::string text =
        GENERATE(as<std::string>{}, "", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", " ::1",
                 "fe80::1%eth0", "1:2:3:4:5:6:7:8:9", "example.com", "10.0.0.1/32", "::ffff:10.0.0.1.1",
                 "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000");
    CHECK_FALSE(Address::parse(text));
    CHECK_FALSE(Address::parse(std::string("10.0.0.1\0", 9)));
}

TEST_CASE("kinds of addresses") {
    const auto [text, is_private, is_never, is_loopback] = GENERATE(table<std::string, bool, bool, bool>({
        {"127.0.0.1", true, false, true},
        {"127.255.255.255", true, false, true},
        {"128.0.0.0", false, false, false},
        {"::1", true, false, true},
        {"::2", false, true, false},
        {"10.255.255.255", true, false, false},
        {"11.0.0.0", false, false, false},
        {"172.15.255.255", false, false, false},
        {"172.16.0.0", true, false, false},
        {"172.31.255.255", true, false, false},
        {"172.32.0.0", false, false, false},
        {"169.254.169.254", true, false, false},
        {"100.63.255.255", false, false, false},
        {"100.127.255.255", true, false, false},
        {"198.19.255.255", true, false, false},
        {"192.0.0.192", true, false, false},
        {"192.0.2.1", false, false, false},
        {"0.1.2.3", false, true, false},
        {"224.0.0.1", false, true, false},
        {"255.255.255.255", false, true, false},
        {"::", false, true, false},
        {"ff02::1", false, true, false},
        {"fd12::1", true, false, false},
        {"fe80::1", true, false, false},
        {"febf::1", true, false, false},
        {"2001:db8::1", false, false, false},
        {"64:ff9b::10.0.0.1", true, false, false},
        {"64:ff9b::8.8.8.8", false, false, false},
        {"64:ff9b::224.0.0.1", false, true, false},
        {"64:ff9b:1::8.8.8.8", true, false, false},
        {"2002:7f00:1::", true, false, false},
        {"2002:808:808::", false, false, false},
    }));
    INFO(text);
    const auto address = *Address::parse(text);
    CHECK(address.is_private() == is_private);
    CHECK(address.is_never_learned() == is_never);
    CHECK(address.is_loopback() == is_loopback);
}

TEST_CASE("CIDRs") {
    CHECK(Cidr::parse("10.0.0.0/8")->text() == "10.0.0.0/8");
    CHECK(Cidr::parse("10.0.0.1")->text() == "10.0.0.1/32");
    CHECK(Cidr::parse("2001:db8::/32")->text() == "2001:db8::/32");
    CHECK(Cidr::parse("::1")->length == 128);
    CHECK(Cidr::parse("::ffff:10.0.0.0/104") == Cidr::parse("10.0.0.0/8"));
    CHECK(Cidr::parse("0.0.0.0/0")->length == 96);
    const std::string bad = GENERATE(as<std::string>{}, "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/",
                                     "10.0.0.0/-1", "10.0.0.0/08", "::/129", "2001:db8::1/64",
                                     "::ffff:0:0/80", "10.0.0.0/8/8", "/8", "10.0.0.0/8 ", "10.0.0.0/+8");
    INFO(bad);
    CHECK_FALSE(Cidr::parse(bad));
}

TEST_CASE("no v6 CIDR holds a v4 address and no v4 CIDR a v6 one") {
    const auto v4 = *Address::parse("10.0.0.1"), v6 = *Address::parse("2001:db8::1");
    CHECK_FALSE(Cidr::parse("::/0")->contains(v4));
    CHECK_FALSE(Cidr::parse("::/64")->contains(v4));
    CHECK(Cidr::parse("::/0")->contains(v6));
    CHECK(Cidr::parse("0.0.0.0/0")->contains(v4));
    CHECK_FALSE(Cidr::parse("0.0.0.0/0")->contains(v6));
    CHECK(Cidr::parse("10.0.0.0/31")->contains(v4));
    CHECK_FALSE(Cidr::parse("10.0.0.2/31")->contains(v4));
}
