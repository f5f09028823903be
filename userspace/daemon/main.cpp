// SPDX-License-Identifier: Apache-2.0
// penstockd: the command line, and the exit code. 0 done, 1 failed, 2 bad flags or settings.
#include "userspace/daemon/daemon.h"
#include "userspace/daemon/flags.h"

#include <csignal>
#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
    using namespace penstock;
    using Action = daemon::CommandLine::Action;
    const auto read = daemon::read_command_line(argc, argv);
    if (!read.command_line)
        return read.exit_code;
    const auto &config = read.command_line->config;
    if (read.command_line->action == Action::check_config) {
        std::puts("penstockd: settings are in order");
        return 0;
    }
    try {
        if (read.command_line->action == Action::detach_all) {
            const auto removed = daemon::detach(config);
            if (!removed) {
                std::fprintf(stderr, "penstockd: %s\n", removed.error().message.c_str());
                return 1;
            }
            for (const auto &what : *removed)
                std::printf("removed %s\n", what.c_str());
            std::puts(removed->empty() ? "nothing was enforced" : "enforcement is off");
            return 0;
        }
        // Whoever read the log may be gone: then lines are lost, not the daemon.
        std::signal(SIGPIPE, SIG_IGN);
        const Log log(config.log_level, config.log_format);
        if (const auto run = daemon::run_daemon(config, log); !run) {
            log.error("penstockd cannot run", {{"error", run.error().message}});
            return 1;
        }
        return 0;
    } catch (const std::exception &broken) {
        std::fprintf(stderr, "penstockd: broken invariant: %s\n", broken.what());
        return 1;
    }
}
