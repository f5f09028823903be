// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/resolv_conf.h"

#include <catch2/catch.hpp>

using penstock::daemon::environment_of;

namespace {

std::vector<std::string> resolvers(const char *text) {
    std::vector<std::string> texts;
    for (const auto &address : environment_of(text).resolvers)
        texts.push_back(address.text());
    return texts;
}

} // namespace

TEST_CASE("resolvers are those of the file and Docker's, each once") {
    using List = std::vector<std::string>;
    CHECK(resolvers("") == List{"127.0.0.11"});
    CHECK(resolvers("nameserver 10.0.0.2\nnameserver fd00::2 # two\nnameserver 10.0.0.2\n") ==
          List{"10.0.0.2", "fd00::2", "127.0.0.11"});
    CHECK(resolvers("#nameserver 1.1.1.1\n;nameserver 1.1.1.1\nnameserver nonsense\n nameserver 10.0.0.3") ==
          List{"10.0.0.3", "127.0.0.11"});
    CHECK(resolvers("nameserver fe80::1%eth0\n") == List{"fe80::1", "127.0.0.11"});
}

TEST_CASE("the last search or domain line counts, names become canonical") {
    using List = std::vector<std::string>;
    CHECK(environment_of("").search.empty());
    CHECK(environment_of("domain a.example\nsearch B.Example. c.example\n").search ==
          List{"b.example", "c.example"});
    CHECK(environment_of("search a.example\ndomain b.example").search == List{"b.example"});
    CHECK(environment_of("search . a..b -ok.example bad/name .x").search == List{"-ok.example"});
}
