// SPDX-License-Identifier: Apache-2.0
// The kernel's reader of DNS answers against the naive one: question, then every record of the answer section; then a
// record at any offset. Input: two octets of offset, then a message.
#include "tests/fuzz/message_in_scratch.h"
#include "tests/fuzz/naive_dns.h"

using namespace penstock;
using namespace penstock::fuzz;

namespace {

// Gives the offset behind the record, 0 when there is none.
std::uint32_t compare_record(struct scratch &s, Bytes message, std::uint32_t at) {
    const std::uint32_t end = dns__read_record(0, at);
    const auto naive = read_naive_record(message, at);
    require_equal(end, naive ? static_cast<long long>(naive->end) : 0, "offset behind the record");
    if (!naive)
        return 0;
    require(end > at && end <= message.size(), "a record ends in the message, behind where it began");
    require_equal(s.record_type, naive->type, "record type");
    require_equal(s.record_ttl, naive->ttl, "TTL");
    require_equal(s.record_length, static_cast<long long>(naive->length), "data length");
    require_equal(s.record_data, static_cast<long long>(naive->data), "data offset");
    return end;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    if (size < 2)
        return 0;
    const auto anywhere = static_cast<std::uint32_t>((data[0] << 8 | data[1]) % (PS_ANSWER_MAX + 64));
    const bpf_host::Octets octets(data + 2, data + size);
    const Bytes seen = Bytes(octets).first(std::min<std::size_t>(octets.size(), PS_ANSWER_MAX));

    MessageInScratch message(octets);
    if (message.copied())
        return 0;
    auto &s = message.scratch();
    const int first = dns__read_answer(0, hash_seed);
    const auto naive = read_naive_answer(seen);
    require(first == -PS_R_ANSWER_MALFORMED || first > 0,
            "an answer is malformed or has a first record's place");
    require_equal(first < 0, naive.malformed, "malformed");
    if (first > 0) {
        require_equal(first, static_cast<long long>(naive.question.end), "offset behind the question");
        require_equal(s.id, naive.question.id, "id");
        require_equal(s.type, naive.question.type, "type");
        require_equal(s.rcode, naive.rcode, "rcode");
        require_equal(s.truncated != 0, naive.truncated, "truncated");
        require_equal(s.answers, naive.announced, "announced answers");
        require(message.key() == reversed(naive.question.name) + '\0', "the key of the answer's question");
        auto at = static_cast<std::uint32_t>(first);
        for (int i = 0; at && i < s.answers && i < PS_ANSWER_RECORDS; ++i)
            at = compare_record(s, seen, at);
    }
    compare_record(s, seen, anywhere);
    return 0;
}
