// SPDX-License-Identifier: Apache-2.0
#include "tests/catch_result.h"
#include "userspace/base/cgroup_mount.h"
#include "userspace/base/clock.h"
#include "userspace/base/log.h"
#include "userspace/base/unique_fd.h"

#include <cerrno>
#include <fcntl.h>

using namespace penstock;

TEST_CASE("a result of a string holds a value or an error, and never one for the other") {
    const Result<std::string> value = std::string("text");
    REQUIRE(value);
    CHECK(*value == "text");
    const Result<std::string> error = system_error("open /x", ENOENT);
    REQUIRE_FALSE(error);
    CHECK(error.error().message == "open /x: No such file or directory");
    CHECK(error.error().code == ENOENT);
    CHECK(error.error().in("load").message == "load: open /x: No such file or directory");
    CHECK_THROWS_AS(error.value(), std::logic_error);
}

TEST_CASE("a descriptor is closed once, by its last owner") {
    int raw = -1;
    {
        UniqueFd first(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        raw = first.get();
        REQUIRE(raw >= 0);
        UniqueFd second(std::move(first));
        CHECK_FALSE(first);
        CHECK(second.get() == raw);
        CHECK(::fcntl(raw, F_GETFD) >= 0);
    }
    CHECK(::fcntl(raw, F_GETFD) == -1);
}

TEST_CASE("the cgroup mount is the one that shows the whole tree") {
    const char *hybrid =
        "23 27 0:22 / /sys rw - sysfs sysfs rw\n"
        "31 23 0:30 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw\n"
        "40 31 0:37 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid shared:5 master:1 - cgroup2 cgroup2 rw\n";
    CHECK(find_cgroup_mount(hybrid) == "/sys/fs/cgroup/unified");
    CHECK(find_cgroup_mount(
              "41 31 0:38 /part /mnt/a rw - cgroup2 x rw\n42 31 0:38 / /mnt/b\\040c rw - cgroup2 x rw") ==
          "/mnt/b c");
    CHECK_FALSE(find_cgroup_mount("41 31 0:38 /part /mnt/a rw - cgroup2 x rw\n"));
    CHECK_FALSE(find_cgroup_mount(""));
    CHECK_FALSE(find_cgroup_mount("nonsense\n - \n1 2 3 4 5 6 -\n"));
}

TEST_CASE("a cgroup's level is its depth below the mount") {
    CHECK(cgroup_level("/sys/fs/cgroup", "/sys/fs/cgroup").value() == 0);
    CHECK(cgroup_level("/sys/fs/cgroup/", "/sys/fs/cgroup/a/b/").value() == 2);
    CHECK(cgroup_level("/sys/fs/cgroup", "/sys/fs/cgroup/a/../b").value() == 1);
    CHECK_FALSE(cgroup_level("/sys/fs/cgroup", "/sys/fs/other"));
    CHECK_FALSE(cgroup_level("/sys/fs/cgroup", "/sys/fs/cgroup/../x"));
}

TEST_CASE("times are written as RFC 3339, before 1970 too") {
    CHECK(rfc3339(0) == "1970-01-01T00:00:00.000000Z");
    CHECK(rfc3339(1'234'567) == "1970-01-01T00:00:00.001234Z");
    CHECK(rfc3339(-1) == "1969-12-31T23:59:59.999999Z");
    const auto drift = wall_ns() - wall_of_monotonic(monotonic_ns());
    CHECK((drift > -1'000'000'000 && drift < 1'000'000'000));
}

TEST_CASE("a log line cannot be forged by what it reports") {
    const LogFields fields{{"name", "a\nb\"c"}, {"slot", "7"}, {"empty", ""}};
    CHECK(format_log_line(LogFormat::text, LogLevel::warning, "T", "row lost", fields) ==
          "T warning: row lost name=\"a\\u000ab\\\"c\" slot=7 empty=\"\"");
    CHECK(format_log_line(LogFormat::json, LogLevel::info, "T", "say \"x\"", fields) ==
          R"({"time":"T","level":"info","message":"say \"x\"","name":"a\u000ab\"c","slot":"7","empty":""})");
}

TEST_CASE("log settings are names, and a wrong one says which there are") {
    CHECK(parse_log_level("debug").value() == LogLevel::debug);
    CHECK(parse_log_format("json").value() == LogFormat::json);
    CHECK(parse_log_level("loud").error().message.find("warning") != std::string::npos);
    CHECK_FALSE(parse_log_format(""));
}
