// SPDX-License-Identifier: Apache-2.0
// suggest: the policy that would have allowed what a container did in audit mode.
#include "userspace/cli/commands.h"

#include <boost/json.hpp>

namespace penstock::cli {

// The text is the answer: -o yaml is that too, json the whole of what the daemon says.
int suggest(const Session &session, const SuggestOptions &options) {
    const std::string fold = options.fold > 0 ? std::to_string(options.fold) : "";
    int code = exit_ok;
    const auto answer = ask(
        session, {.target = target("/v1/suggest", {{"container", options.container}, {"fold", fold}})}, code);
    if (!answer)
        return code;
    if (session.output.format == Format::json)
        print_value(session.output, *answer);
    else
        print_source(session.output, text_at(*answer, "policy"));
    return exit_ok;
}

} // namespace penstock::cli
