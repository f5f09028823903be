// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/config.h"

#include "userspace/container/path.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace penstock::daemon {
namespace {

// Prefixes of the names that runtimes give their cgroups with the systemd driver.
const std::array<const char *, 4> runtime_names = {"docker-", "libpod-", "cri-containerd-", "crio-"};

std::optional<std::uint16_t> birth_policy(std::string_view verdict) {
    if (verdict == "deny")
        return abi::PS_POLICY_BIRTH_DENY;
    if (verdict == "allow")
        return abi::PS_POLICY_BIRTH_ALLOW;
    if (verdict == "audit")
        return abi::PS_POLICY_BIRTH_AUDIT;
    return std::nullopt;
}

class Maker {
  public:
    Maker(const RawSettings &raw, ConfigFaults &faults) : raw_(raw), faults_(faults) {}

    Config make() {
        path("gate-root", config_.gate_root);
        path("policies", config_.policies);
        path("state-dir", config_.state_dir);
        path("run-dir", config_.run_dir);
        path("bpffs", config_.bpffs);
        path("api-socket", config_.api_socket);
        path("resolv-conf", config_.resolv_conf);
        if (config_.api_socket.empty())
            config_.api_socket = config_.run_dir + "/api.sock";
        if (config_.api_socket.size() > 107) // sun_path
            fault(place(one("api-socket") ? "api-socket" : "run-dir"),
                  "'" + config_.api_socket + "' is longer than a socket's path may be (107)");
        metrics_address();
        parsed("log-level", parse_log_level, config_.log_level);
        parsed("log-format", parse_log_format, config_.log_format);
        births();
        return std::move(config_);
    }

  private:
    const RawValue *one(const std::string &name) const {
        const auto found = raw_.find(name);
        return found == raw_.end() || found->second.empty() ? nullptr : &found->second.back();
    }
    std::string place(const std::string &name) const {
        const auto *value = one(name);
        return value ? value->place : name;
    }
    void fault(const std::string &where, const std::string &text) {
        faults_.faults.push_back(where + ": " + text);
    }

    void path(const std::string &name, std::string &out) {
        const auto *value = one(name);
        if (!value)
            return;
        if (!value->text.starts_with('/') || value->text.find('\0') != std::string::npos)
            return fault(value->place, "expected an absolute path, not '" + value->text + "'");
        out = container::normal_path(value->text);
    }

    void one_of(const std::string &name, std::string &out, std::initializer_list<std::string_view> choices) {
        const auto *value = one(name);
        if (!value)
            return;
        std::string expected;
        for (const auto choice : choices)
            expected += (expected.empty() ? "" : ", ") + std::string(choice);
        if (std::find(choices.begin(), choices.end(), value->text) == choices.end())
            return fault(value->place, "expected one of " + expected + ", not '" + value->text + "'");
        out = value->text;
    }

    template <typename Value>
    void parsed(const std::string &name, Result<Value> (*parse)(std::string_view), Value &out) {
        const auto *value = one(name);
        if (!value)
            return;
        if (const auto result = parse(value->text))
            out = *result;
        else
            fault(value->place, result.error().message);
    }

    void metrics_address() {
        const auto *value = one("metrics-address");
        if (!value || value->text.empty())
            return;
        const auto colon = value->text.rfind(':');
        unsigned port = 0;
        if (colon != std::string::npos && colon > 0) {
            const char *end = value->text.data() + value->text.size();
            const auto [stop, error] = std::from_chars(value->text.data() + colon + 1, end, port);
            if (error == std::errc{} && stop == end && port > 0 && port < 65536) {
                config_.metrics_address = value->text;
                return;
            }
        }
        fault(value->place, "expected address:port (127.0.0.1:9464, [::1]:9464), not '" + value->text + "'");
    }

    // "TEXT" or "TEXT=verdict".
    std::vector<container::BirthRule> birth_rules(const std::string &name, bool is_path,
                                                  std::uint16_t fallback) {
        std::vector<container::BirthRule> rules;
        const auto found = raw_.find(name);
        if (found == raw_.end())
            return rules;
        for (const auto &value : found->second) {
            const auto equals = value.text.rfind('=');
            auto policy = std::optional(fallback);
            if (equals != std::string::npos)
                policy = birth_policy(std::string_view(value.text).substr(equals + 1));
            const std::string text = value.text.substr(0, equals);
            if (!policy)
                fault(value.place, "expected deny, allow or audit after '=' in '" + value.text + "'");
            else if (text.empty() || text.size() > abi::PS_BIRTH_PATTERN_MAX)
                fault(value.place, "expected 1 to 251 octets, not '" + text + "'");
            else if (is_path != text.starts_with('/'))
                fault(value.place, is_path ? "expected an absolute path, not '" + text + "'"
                                           : "expected the beginning of a cgroup's name, not '" + text + "'");
            else
                rules.push_back({text, *policy});
        }
        return rules;
    }

    void births() {
        std::uint16_t fallback = abi::PS_POLICY_BIRTH_ALLOW;
        std::string verdict = "allow";
        one_of("birth-verdict", verdict, {"deny", "allow", "audit"});
        if (const auto policy = birth_policy(verdict))
            fallback = *policy;
        auto &birth = config_.birth;
        birth.strict_roots = birth_rules("strict-root", true, abi::PS_POLICY_BIRTH_DENY);
        for (auto &root : birth.strict_roots)
            root.text = container::normal_path(root.text);
        birth.names = birth_rules("birth-name", false, fallback);
        birth.paths = birth_rules("birth-path", true, fallback);
        if (!raw_.contains("birth-name") && !raw_.contains("birth-path"))
            for (const auto *name : runtime_names)
                birth.names.push_back({name, fallback});
    }

    const RawSettings &raw_;
    ConfigFaults &faults_;
    Config config_;
};

} // namespace

const std::vector<Setting> &settings() {
    static const std::vector<Setting> all = {
        {"gate-root", "PATH", "cgroup at which the programs are attached (default: the cgroup v2 mount)"},
        {"strict-root", "PATH[=deny|allow|audit]",
         "cgroups made under it are contained from birth (default verdict: deny)", true},
        {"policies", "DIRECTORY", "policy files: *.yaml *.yml *.json *.pb"},
        {"state-dir", "DIRECTORY",
         "what survives a restart: last accepted policies, applied policies, totals"},
        {"run-dir", "DIRECTORY", "sockets"},
        {"bpffs", "DIRECTORY", "where programs and maps are pinned, on a bpf file system"},
        {"api-socket", "PATH", "unix socket of the local API (default: <run-dir>/api.sock)"},
        {"metrics-address", "ADDRESS:PORT", "serve /metrics, /healthz and /readyz on TCP, too"},
        {"resolv-conf", "PATH", "where the default resolvers and search suffixes come from"},
        {"log-level", "LEVEL", "debug, info, warning or error"},
        {"log-format", "FORMAT", "text or json"},
        {"birth-verdict", "VERDICT", "of a container whose policy is not known yet: deny, allow or audit"},
        {"birth-name", "PREFIX[=VERDICT]",
         "cgroups whose name begins so are containers (default: those of the runtimes)", true},
        {"birth-path", "PREFIX[=VERDICT]", "cgroups whose path begins so are containers", true},
    };
    return all;
}

Config make_config(const RawSettings &raw, ConfigFaults &faults) {
    return Maker(raw, faults).make();
}

} // namespace penstock::daemon
