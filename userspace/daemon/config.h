// SPDX-License-Identifier: Apache-2.0
// The settings of penstockd: one table for the file and the flags, so each setting is both under one name,
// with one check. Knows no kernel and no policy; flags.h fills it from the command line.
#pragma once

#include "userspace/base/log.h"
#include "userspace/container/selection.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::daemon {

struct Config {
    std::string gate_root; // empty: the cgroup v2 mount
    std::string policies = "/etc/penstock/policies.d";
    std::string state_dir = "/var/lib/penstock";
    std::string run_dir = "/run/penstock";
    std::string bpffs = "/sys/fs/bpf/penstock";
    std::string api_socket;      // empty: <run_dir>/api.sock
    std::string metrics_address; // empty: no TCP; else "address:port"
    std::string resolv_conf = "/etc/resolv.conf";
    LogLevel log_level = LogLevel::info;
    LogFormat log_format = LogFormat::text;
    container::BirthRules birth; // names and paths: the runtimes' own, unless configured
};

// One raw value with where it stands, so that a bad one is reported at its place.
struct RawValue {
    std::string text;
    std::string place; // "penstock.yaml:3:12" or "--log-level"
};
using RawSettings = std::map<std::string, std::vector<RawValue>>; // by name of the setting

struct Setting {
    std::string name;  // "state-dir": key in the file, flag with two dashes
    std::string value; // what a value looks like, for --help
    std::string help;
    bool repeatable = false;
};
const std::vector<Setting> &settings();

// Every fault as "file:line:column: text"; nothing of a file with faults is used.
struct ConfigFaults {
    std::vector<std::string> faults;
};

// Adds the settings of a YAML text to `raw`. An unknown key, a key given twice, a wrong kind: a fault each.
void parse_config(const std::string &file, const std::string &text, RawSettings &raw, ConfigFaults &);

// Checks every value. `raw` of flags must have replaced that of the file before.
Config make_config(const RawSettings &raw, ConfigFaults &);

} // namespace penstock::daemon
