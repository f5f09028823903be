// SPDX-License-Identifier: Apache-2.0
// 64-bit content ids: SHA-256 of a byte stream with a fixed encoding, cut to 8 octets. The same content gives
// the same id on every host. Private to policy/; knows nothing of what it hashes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace penstock::policy {

class Digest {
  public:
    Digest();
    ~Digest();
    Digest(const Digest &) = delete;
    Digest &operator=(const Digest &) = delete;

    Digest &number(std::uint64_t);          // 8 octets, little endian
    Digest &text(std::string_view);         // length first, so that two texts never run into one
    Digest &raw(const void *, std::size_t); // octets whose length the reader knows
    std::uint64_t finish();                 // never 0: 0 means "none" in every map

  private:
    void flush();

    struct Context;
    std::unique_ptr<Context> context_;
    std::array<unsigned char, 4096> buffer_{};
    std::size_t used_ = 0;
};

} // namespace penstock::policy
