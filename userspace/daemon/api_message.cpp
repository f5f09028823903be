// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/api_message.h"

#include "userspace/telemetry/names.h"

#include <boost/json.hpp>

namespace penstock::daemon {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decode(std::string_view text, bool plus_is_blank) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0)
                return std::nullopt;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c == '\0')
            return std::nullopt;
        decoded += c;
    }
    return decoded;
}

std::optional<std::string> parse_query(std::string_view query, ApiRequest &request) {
    while (!query.empty()) {
        const auto ampersand = query.find('&');
        const auto pair = query.substr(0, ampersand);
        query.remove_prefix(ampersand == std::string_view::npos ? query.size() : ampersand + 1);
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return "malformed query: expected name=value, not '" + telemetry::utf8_text(pair) + "'";
        const auto name = decode(pair.substr(0, equals), true);
        const auto value = decode(pair.substr(equals + 1), true);
        if (!name || !value)
            return "malformed query: bad %-escape in '" + telemetry::utf8_text(pair) + "'";
        if (!request.query.emplace(*name, *value).second)
            return "parameter '" + telemetry::utf8_text(*name) + "' is given twice";
    }
    return std::nullopt;
}

} // namespace

ApiAnswer error_answer(unsigned status, std::string_view text) {
    ApiAnswer answer;
    answer.status = status;
    answer.body = boost::json::serialize(boost::json::object{{"error", telemetry::utf8_text(text)},
                                                             {"diagnostics", boost::json::array()}}) +
                  "\n";
    return answer;
}

std::optional<std::string> parse_target(std::string_view target, ApiRequest &request) {
    if (!target.starts_with('/'))
        return "malformed request target: expected an absolute path";
    const auto question = target.find('?');
    auto path = target.substr(1, question == std::string_view::npos ? question : question - 1);
    while (true) {
        const auto slash = path.find('/');
        const auto segment = decode(path.substr(0, slash), false);
        if (!segment)
            return "malformed request target: bad %-escape";
        request.path.push_back(*segment);
        if (slash == std::string_view::npos)
            break;
        path.remove_prefix(slash + 1);
    }
    return question == std::string_view::npos ? std::nullopt
                                              : parse_query(target.substr(question + 1), request);
}

} // namespace penstock::daemon
