// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/flags.h"

#include "userspace/daemon/cgroup_paths.h"
#include "userspace/daemon/files.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <iostream>

namespace penstock::daemon {
namespace {

constexpr const char *default_config = "/etc/penstock/penstock.yaml";
constexpr std::size_t largest_config = 1024UL * 1024;

// The text of the file; nothing if it is absent and nobody asked for it.
std::optional<std::string> read_config(const std::string &file, bool asked_for, ConfigFaults &faults) {
    auto text = read_file(file, largest_config);
    if (text)
        return std::move(*text);
    if (asked_for || text.error().code != ENOENT)
        faults.faults.push_back("penstockd: " + text.error().message);
    return std::nullopt;
}

// What comes from a file or a flag must not steer the terminal.
std::string escaped(const std::string &text) {
    std::string out;
    for (const char c : text) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet < 0x20 || octet >= 0x7f) {
            char code[8];
            std::snprintf(code, sizeof code, "\\x%02x", static_cast<unsigned>(octet));
            out += code;
        } else {
            out += c;
        }
    }
    return out;
}

int refuse(const ConfigFaults &faults) {
    for (const auto &fault : faults.faults)
        std::fprintf(stderr, "%s\n", escaped(fault).c_str());
    return 2;
}

} // namespace

CommandLineResult read_command_line(int argc, const char *const *argv) {
    CLI::App app("penstockd: holds containers to the domains and addresses of their policies, in the kernel",
                 "penstockd");
    std::string config_file;
    bool check_config = false, detach_all = false;
    std::map<std::string, std::vector<std::string>> given;
    auto *config_option = app.add_option("--config", config_file, "settings file")->type_name("FILE");
    app.add_flag("--check-config", check_config, "read the settings, report every fault, and leave");
    app.add_flag("--detach-all", detach_all, "take all enforcement off this machine, and leave");
    app.set_version_flag("--version", std::string("penstockd ") + PENSTOCK_VERSION);
    for (const auto &setting : settings()) {
        auto *option = app.add_option("--" + setting.name, given[setting.name], setting.help);
        option->type_name(setting.value)->allow_extra_args(false);
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp &) {
        std::cout << app.help();
        return {};
    } catch (const CLI::CallForVersion &) {
        std::cout << "penstockd " << PENSTOCK_VERSION << '\n';
        return {};
    } catch (const CLI::ParseError &error) { // CLI11 reports bad flags in no other way
        std::fprintf(stderr, "penstockd: %s (see penstockd --help)\n", escaped(error.what()).c_str());
        return {std::nullopt, 2};
    }
    for (const auto &setting : settings())
        if (!setting.repeatable && given[setting.name].size() > 1) {
            std::fprintf(stderr, "penstockd: --%s is given twice\n", setting.name.c_str());
            return {std::nullopt, 2};
        }
    if (check_config && detach_all) {
        std::fprintf(stderr, "penstockd: --check-config and --detach-all exclude each other\n");
        return {std::nullopt, 2};
    }

    ConfigFaults faults;
    RawSettings raw;
    const bool asked_for = config_option->count() > 0;
    const std::string file = asked_for ? config_file : default_config;
    if (const auto text = read_config(file, asked_for, faults))
        parse_config(file, *text, raw, faults);
    for (const auto &[name, values] : given) {
        if (values.empty())
            continue;
        raw[name].clear();
        for (const auto &value : values)
            raw[name].push_back({value, "--" + name});
    }
    CommandLine line;
    line.config = make_config(raw, faults);
    if (faults.faults.empty() && !detach_all)
        if (const auto checked = check_cgroup_paths(line.config); !checked)
            faults.faults.push_back("penstockd: " + checked.error().message);
    if (!faults.faults.empty())
        return {std::nullopt, refuse(faults)};
    line.action = detach_all     ? CommandLine::Action::detach_all
                  : check_config ? CommandLine::Action::check_config
                                 : CommandLine::Action::run;
    return {line, 0};
}

} // namespace penstock::daemon
