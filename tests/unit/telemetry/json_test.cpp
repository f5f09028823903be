// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/json.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace penstock;
using namespace penstock::telemetry;
namespace json = boost::json;

TEST_CASE("an event is one line with every field of the contract") {
    Event event;
    event.kind = abi::PS_EVENT_DENIED;
    event.name = "bad\n\xff\"name";
    const auto line = event_line(event);
    CHECK(line.find('\n') == line.size() - 1);
    const auto object = json::parse(line).as_object();
    CHECK(object.at("kind") == "denied");
    CHECK(object.at("name").as_string() == "bad\n\\xff\"name");
    for (const auto *field :
         {"time",       "kind",        "container", "cgroup_id",  "policy",   "rule",  "hook",
          "generation", "direction",   "verdict",   "reason",     "protocol", "local", "local_port",
          "remote",     "remote_port", "name",      "query_type", "length",   "pid",   "comm"})
        CHECK(object.contains(field));
    CHECK(object.size() == 21);
}

TEST_CASE("counters are those of one container where one is asked for") {
    Snapshot snapshot;
    snapshot.counters.resize(2);
    snapshot.counters[0].cgroup_id = 1;
    snapshot.counters[1].cgroup_id = 2;
    CHECK(counters_json(snapshot, std::nullopt).at("counters").as_array().size() == 2);
    const auto one = counters_json(snapshot, 2);
    REQUIRE(one.at("counters").as_array().size() == 1);
    CHECK(one.at("counters").as_array()[0].at("cgroup_id") == "0x2");
}

TEST_CASE("rows with equal labels are merged, order is by label") {
    std::vector<CounterRow> rows(3);
    rows[0].container = "/b";
    rows[0].packets = 1;
    rows[1].container = "/a";
    rows[1].packets = 2;
    rows[2].container = "/b";
    rows[2].packets = 4;
    sort_and_merge(rows);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].container == "/a");
    CHECK(rows[1].packets == 5);
}
