// SPDX-License-Identifier: Apache-2.0
// The daemon's settings file. What is refused says where and why; what is accepted has only values that can be used.
#include "bpf/abi.h"
#include "tests/fuzz/property.h"
#include "userspace/daemon/config.h"

#include <algorithm>

using namespace penstock;
using namespace penstock::fuzz;

namespace {

void check_faults(const daemon::ConfigFaults &faults) {
    for (const auto &text : faults.faults)
        require(text.starts_with("f:") && text.size() > 4, "a fault says where and what");
}

void check_rules(const std::vector<container::BirthRule> &rules, bool paths) {
    for (const auto &rule : rules) {
        require(!rule.text.empty() && rule.text.size() <= abi::PS_BIRTH_PATTERN_MAX,
                "a birth rule fits its key");
        require(paths == rule.text.starts_with('/'), "a path begins with /, a name does not");
        require(rule.policy >= abi::PS_POLICY_BIRTH_DENY && rule.policy <= abi::PS_POLICY_BIRTH_AUDIT,
                "a birth rule has a verdict");
    }
}

void check_config(const daemon::Config &config) {
    for (const auto *path : {&config.policies, &config.state_dir, &config.run_dir, &config.bpffs,
                             &config.api_socket, &config.resolv_conf})
        require(path->starts_with('/') && path->find('\0') == path->npos, "a path is absolute and whole");
    require(config.gate_root.empty() || config.gate_root.starts_with('/'), "the gate root is absolute");
    require(config.api_socket.size() <= 107, "the socket's path fits");
    check_rules(config.birth.strict_roots, true);
    check_rules(config.birth.paths, true);
    check_rules(config.birth.names, false);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string text(data, data + size);
    daemon::RawSettings raw;
    daemon::ConfigFaults faults;
    daemon::parse_config("f", text, raw, faults);
    check_faults(faults);
    const auto config = daemon::make_config(raw, faults);
    check_faults(faults);
    for (const auto &[name, values] : raw)
        require(std::any_of(daemon::settings().begin(), daemon::settings().end(),
                            [&, &key = name](const auto &setting) { return setting.name == key; }),
                "only known settings are kept");
    if (faults.faults.empty())
        check_config(config);
    return 0;
}
