// SPDX-License-Identifier: Apache-2.0
// Request targets of the local API ("/v1/explain?container=%2Fa"): taken apart they can be put together again, and what is
// refused gets an answer that is JSON.
#include "tests/fuzz/property.h"
#include "userspace/daemon/api_message.h"

#include <boost/json.hpp>

using namespace penstock;
using namespace penstock::fuzz;

namespace {

// Every octet escaped: what any right decoder gives back as it was.
std::string escaped(const std::string &text) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        out += {'%', digits[octet >> 4], digits[octet & 15]};
    }
    return out;
}

std::string target_of(const daemon::ApiRequest &request) {
    std::string target;
    for (const auto &segment : request.path)
        target += "/" + escaped(segment);
    char separator = '?';
    for (const auto &[name, value] : request.query) {
        target += separator + escaped(name) + "=" + escaped(value);
        separator = '&';
    }
    return target;
}

void check_refusal(const std::string &fault) {
    const auto answer = daemon::error_answer(400, fault);
    boost::json::error_code error;
    const auto value = boost::json::parse(answer.body, error);
    require(!error && value.is_object() && !value.at("error").as_string().empty(),
            "a refusal is JSON and has a text");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string target(data, data + size);
    daemon::ApiRequest request;
    if (const auto fault = daemon::parse_target(target, request)) {
        check_refusal(*fault);
        return 0;
    }
    require(target.starts_with('/') && !request.path.empty(), "a target is an absolute path");
    for (const auto &segment : request.path)
        require(segment.find('\0') == segment.npos, "no segment has a NUL");
    daemon::ApiRequest again;
    require(!daemon::parse_target(target_of(request), again), "a target put together again is accepted");
    require(again.path == request.path && again.query == request.query, "and is the same request");
    return 0;
}
