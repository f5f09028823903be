// SPDX-License-Identifier: Apache-2.0
// load: the traffic of the benchmarks. `load serve` answers; the other words make one kind of traffic for some seconds and print how
// much of it there was per second. Knows no Penstock.
#include "bench/load.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

using namespace penstock::bench::load;

int usage() {
    std::cerr << "usage: load serve ADDRESS DNS_ADDRESS [DNS_ADDRESS...]\n"
                 "       load tcp_rr|udp_rr|connect|stream|dns SECONDS CONNECTIONS SERVER DNS_SERVER\n"
                 "       load enforced NEW_CGROUP DENIED_ADDRESS\n";
    return 2;
}

} // namespace

int main(int argc, char **argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.size() >= 3 && words[0] == "serve")
            serve(words[1], {words.begin() + 2, words.end()});
        if (words.size() == 3 && words[0] == "enforced") {
            std::cout << ms_until_enforced(words[1], words[2]) << '\n';
            return 0;
        }
        if (words.size() != 5)
            return usage();
        const Task task{std::atof(words[1].c_str()), std::atoi(words[2].c_str()), words[3], words[4]};
        const auto client = client_of(words[0]);
        if (!client || task.seconds <= 0 || task.connections < 1)
            return usage();
        resolve(task, 0); // so that the server's address is learned where somebody learns
        std::cout << client(task) << '\n';
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "load: " << error.what() << '\n';
        return 1;
    }
}
