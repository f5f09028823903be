// SPDX-License-Identifier: Apache-2.0
// Whole files, read and replaced safely. Blocking; small files on the loop, large ones on the pool.
#pragma once

#include "userspace/base/result.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace penstock::daemon {

// Refuses what is no regular file, and files over `limit` octets.
Result<std::string> read_file(const std::string &path, std::size_t limit);

// The file holds the old text or the new one, also after a power cut. Mode 0600.
Result<void> replace_file(const std::string &path, std::string_view text);

// For a file of our own that can't be read, as `why` says: it becomes PATH.damaged, for people. The sentence
// that tells of it.
std::string set_aside(const std::string &path, const Error &why);

Result<void> remove_file(const std::string &path); // absent is fine

// The directory and its parents; those made here get mode 0755 and the last one `mode`.
Result<void> make_directory(const std::string &path, unsigned mode);

} // namespace penstock::daemon
