// SPDX-License-Identifier: Apache-2.0
// A DNS message in the kernel parsers' scratch, with the room behind it poisoned: AddressSanitizer then sees an octet read
// behind the message as it sees one read behind the scratch, though the memory is the scratch's own.
#pragma once

#include "tests/bpf_host/parsers.h"
#include "tests/fuzz/property.h"

#include <sanitizer/asan_interface.h>

namespace penstock::fuzz {

constexpr std::uint64_t hash_seed = 42;

class MessageInScratch {
  public:
    explicit MessageInScratch(const bpf_host::Octets &message)
        : packet_(message), scratch_(bpf_host::fresh_scratch()) {
        copied_ = dns__copy(&packet_.view, 0, 0, packet_.view.len);
        require(copied_ == (message.empty() ? PS_R_DNS_SHORT : 0), "only an empty message is not copied");
        require(scratch_.message_length == std::min<std::size_t>(message.size(), PS_ANSWER_MAX),
                "the copy has the message's length, up to what is read");
        ASAN_POISON_MEMORY_REGION(rest(), PS_ANSWER_MAX - scratch_.message_length);
    }
    ~MessageInScratch() { ASAN_UNPOISON_MEMORY_REGION(rest(), PS_ANSWER_MAX - scratch_.message_length); }
    MessageInScratch(const MessageInScratch &) = delete;
    MessageInScratch &operator=(const MessageInScratch &) = delete;

    int copied() const { return copied_; }
    struct scratch &scratch() {
        return scratch_;
    }

    // The trie key of the name read last: its text reversed and a NUL.
    std::string key() const {
        require(scratch_.name_length <= PS_NAME_MAX, "a name is no longer than the key has room");
        for (std::size_t i = PS_NAME_END; i < sizeof scratch_.name; ++i)
            require(scratch_.name[i] == 0, "only 0 follows the name in the key");
        return bpf_host::name_read() + '\0';
    }

  private:
    std::uint8_t *rest() { return scratch_.message + scratch_.message_length; }

    bpf_host::Packet packet_;
    struct scratch &scratch_;
    int copied_ = 0;
};

inline std::string reversed(const std::string &text) {
    return {text.rbegin(), text.rend()};
}

} // namespace penstock::fuzz
