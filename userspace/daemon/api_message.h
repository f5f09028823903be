// SPDX-License-Identifier: Apache-2.0
// A request and an answer of the local API as values: what api_server.cpp reads from a socket and
// api_router.cpp decides on. No sockets here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::telemetry {
class EventLog;
}

namespace penstock::daemon {

struct ApiRequest {
    std::string method;                       // "GET"
    std::vector<std::string> path;            // decoded segments: {"v1", "containers", "/penstock.slice/a"}
    std::map<std::string, std::string> query; // decoded; each name once
    std::string body, content_type;
    bool may_change = false;   // the peer is root or the daemon's own user
    bool metrics_only = false; // came over TCP
};

// GET /v1/events and /v1/flows: what the connection is to send after the head.
struct EventStream {
    telemetry::EventLog *from = nullptr; // outlives the server
    bool follow = false;
    bool denied_only = false;
    std::optional<std::uint64_t> container; // cgroup id
};

struct ApiAnswer {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::string allow; // 405: the methods there are
    std::optional<EventStream> events;
};

ApiAnswer error_answer(unsigned status, std::string_view text); // {"error": text, "diagnostics": []}

// Takes a request target apart ("/v1/explain?container=%2Fa&ip=::1"). The text of the fault, if it is malformed:
// not absolute, a bad escape, a NUL, a parameter twice or without '='.
std::optional<std::string> parse_target(std::string_view target, ApiRequest &);

} // namespace penstock::daemon
