// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/libbpf_log.h"

#include <bpf/libbpf.h>
#include <cstdarg>
#include <cstdio>

namespace penstock::kernel {
namespace {

// libbpf's print hook takes no context, so its text goes to the thread that called libbpf.
thread_local std::string said;

int keep(libbpf_print_level level, const char *format, va_list arguments) {
    if (level != LIBBPF_WARN)
        return 0;
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    if (length <= 0)
        return 0;
    std::string line(static_cast<std::size_t>(length) + 1, '\0'); // a whole verifier log comes as one line
    std::vsnprintf(line.data(), line.size(), format, arguments);
    line.pop_back();
    said += line;
    if (said.size() > 65536) // a verifier's log: its end says what is wrong
        said.erase(0, said.size() - 32768);
    return 0;
}

bool starts(const std::string &line, const char *prefix) {
    return line.rfind(prefix, 0) == 0;
}

} // namespace

LibbpfLog::LibbpfLog() {
    said.clear();
    ::libbpf_set_print(keep);
}

LibbpfLog::~LibbpfLog() {
    said.clear();
}

// Of a verifier's log only the last instruction's complaint counts: the line before libbpf's "END PROG LOAD LOG".
std::string LibbpfLog::tail() const {
    std::string out, previous;
    for (std::size_t at = 0; at < said.size() && out.size() < 400;) {
        const std::size_t end = said.find('\n', at);
        std::string line = said.substr(at, end - at);
        if (starts(line, "libbpf: "))
            line.erase(0, 8);
        at = end == std::string::npos ? said.size() : end + 1;
        if (line.find("-- END PROG LOAD LOG") != std::string::npos)
            out += (out.empty() ? "" : "; ") + previous;
        else if (line.find("-- BEGIN PROG LOAD LOG") == std::string::npos &&
                 line.find("': failed to load: -") ==
                     std::string::npos && // says again what was said in words
                 (starts(line, "prog '") || starts(line, "map '") || starts(line, "Error in bpf_")))
            out += (out.empty() ? "" : "; ") + line;
        if (!starts(line, "processed ") && !line.empty())
            previous = line;
    }
    return out.empty() ? previous : out;
}

} // namespace penstock::kernel
