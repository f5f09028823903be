// SPDX-License-Identifier: Apache-2.0
// A policy text from a file or from standard input, for `policy check|diff|apply`. Knows no meaning of it.
#pragma once

#include "policy/load.h"
#include "userspace/base/result.h"

#include <string>
#include <vector>

namespace penstock::cli {

// "-" is standard input and YAML. At most 64 MiB, as the API takes no more.
Result<policy::Source> read_policy_file(const std::string &path);

// A directory stands for the policy files in it, sorted, as the daemon reads it; anything else for itself.
Result<std::vector<std::string>> policy_files(const std::string &path);

std::string content_type(policy::Format);

} // namespace penstock::cli
