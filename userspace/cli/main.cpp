// SPDX-License-Identifier: Apache-2.0
// The program `penstock`: finds out what it writes to, and runs.
#include "userspace/cli/app.h"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace {

penstock::cli::Terminal standard_output() {
    penstock::cli::Terminal terminal;
    if (isatty(STDOUT_FILENO) == 0)
        return terminal;
    winsize size{};
    terminal.columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    const char *no_colour = std::getenv("NO_COLOR"), *kind = std::getenv("TERM");
    terminal.colour =
        (no_colour == nullptr || *no_colour == '\0') && kind != nullptr && std::string_view(kind) != "dumb";
    return terminal;
}

} // namespace

int main(int argc, char **argv) {
    try {
        const int code = penstock::cli::run({argv + 1, argv + argc}, std::cout, std::cerr, standard_output());
        std::cout.flush();
        if (std::cout.good())
            return code;
        std::cerr << "penstock: cannot write to standard output\n";
    } catch (const std::exception &broken) {
        std::cerr << "penstock: internal error: " << broken.what() << "\n";
    }
    return 2;
}
