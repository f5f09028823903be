// SPDX-License-Identifier: Apache-2.0
// DNS messages read a second time, by RFC 1035 and 6891, with strings and exceptions. Shares only abi.h with bpf/lib.
#pragma once

#include "bpf/abi.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace penstock::fuzz {

using Bytes = std::span<const std::uint8_t>;

struct NaiveQuestion {
    int reason = 0; // of abi.h; what follows is whole only when it is 0
    int id = 0, type = 0;
    std::string name;    // dotted, lower case; "" is the root
    std::size_t end = 0; // offset behind the question
};

// A query as a client may send it.
NaiveQuestion read_naive_query(Bytes message);

struct NaiveRecord {
    int type = 0; // 0: not of class IN
    std::uint32_t ttl = 0;
    std::size_t data = 0, length = 0; // offset and octets of the data
    std::size_t end = 0;
};
struct NaiveAnswer {
    bool malformed = false; // header or question
    NaiveQuestion question;
    int rcode = 0, announced = 0;
    bool truncated = false;
};
NaiveAnswer read_naive_answer(Bytes message);
std::optional<NaiveRecord> read_naive_record(Bytes message, std::size_t at);

} // namespace penstock::fuzz
