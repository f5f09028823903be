// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/resolv_conf.h"

#include <algorithm>
#include <sstream>
#include <string>

namespace penstock::daemon {
namespace {

// Lower-case without the final dot; empty if it can be no name. IDNA is not spoken in resolv.conf.
std::string canonical(std::string text) {
    if (text.ends_with('.'))
        text.pop_back();
    std::size_t label = 0;
    for (char &c : text) {
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
        const bool part = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!part && (c != '.' || label == 0))
            return "";
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return "";
    }
    return label == 0 || text.size() > abi::PS_NAME_MAX ? "" : text;
}

} // namespace

policy::Environment environment_of(std::string_view resolv_conf) {
    policy::Environment environment;
    const auto add = [&](std::string_view text) {
        const auto address =
            policy::Address::parse(text.substr(0, text.find('%'))); // no scope ids in the kernel's view
        if (address && std::find(environment.resolvers.begin(), environment.resolvers.end(), *address) ==
                           environment.resolvers.end())
            environment.resolvers.push_back(*address);
    };
    std::istringstream lines{std::string(resolv_conf)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line.substr(0, line.find_first_of("#;")));
        std::string key, word;
        words >> key;
        if (key == "nameserver" && words >> word) {
            add(word);
        } else if (key == "search" || key == "domain") {
            environment.search.clear();
            while (words >> word)
                if (const auto name = canonical(word); !name.empty())
                    environment.search.push_back(name);
        }
    }
    add("127.0.0.11");
    return environment;
}

} // namespace penstock::daemon
