// SPDX-License-Identifier: Apache-2.0
// reload, unload: what changes the daemon or takes enforcement off the machine.
#include "userspace/cli/commands.h"

#include <boost/json.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <ostream>
#include <unistd.h>

namespace penstock::cli {
namespace {

// Beside this program (a build tree, a private install), in the sbin of its prefix, else by the PATH.
std::string find_penstockd() {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    if (!error)
        for (const fs::path &candidate :
             {self.parent_path() / "penstockd", self.parent_path().parent_path() / "sbin" / "penstockd"})
            if (access(candidate.c_str(), X_OK) == 0)
                return candidate.string();
    return "penstockd";
}

} // namespace

int reload(const Session &session) {
    int code = exit_ok;
    const auto answer = ask(session, {.method = "POST", .target = "/v1/reload"}, code);
    if (!answer)
        return code;
    print_diagnostics(session.output, list_at(*answer, "diagnostics"));
    if (session.output.format != Format::table)
        print_value(session.output, *answer);
    else
        session.output.out << number_at(*answer, "policies")
                           << (number_at(*answer, "policies") == 1 ? " policy" : " policies")
                           << " in force, generation " << number_at(*answer, "generation") << "\n";
    return exit_ok;
}

// Not a request to the daemon: enforcement outlives it, so taking enforcement off must not need it.
int unload(const Output &output, const UnloadOptions &options) {
    if (geteuid() != 0)
        return fail(output, "unload takes enforcement off the machine and needs root", exit_failed);
    std::string program = options.penstockd.empty() ? find_penstockd() : options.penstockd;
    std::vector<std::string> words{program, "--detach-all"};
    if (!options.bpffs.empty())
        words.insert(words.end(), {"--bpffs", options.bpffs});
    std::vector<char *> arguments;
    for (std::string &word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    output.out.flush();
    output.err.flush();
    execvp(program.c_str(), arguments.data());
    return fail(output, "cannot run " + program + " --detach-all: " + std::strerror(errno), exit_failed);
}

} // namespace penstock::cli
