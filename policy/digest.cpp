// SPDX-License-Identifier: Apache-2.0
#include "policy/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace penstock::policy {

struct Digest::Context {
    struct Free {
        void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD_CTX, Free> evp{EVP_MD_CTX_new()};
};

Digest::Digest() : context_(std::make_unique<Context>()) {
    if (!context_->evp || EVP_DigestInit_ex(context_->evp.get(), EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("OpenSSL has no SHA-256");
}

Digest::~Digest() = default;

void Digest::flush() {
    if (EVP_DigestUpdate(context_->evp.get(), buffer_.data(), used_) != 1)
        throw std::runtime_error("SHA-256 update failed");
    used_ = 0;
}

Digest &Digest::raw(const void *data, std::size_t size) {
    const auto *bytes = static_cast<const unsigned char *>(data);
    while (size > 0) {
        const auto part = std::min(size, buffer_.size() - used_);
        std::memcpy(buffer_.data() + used_, bytes, part);
        used_ += part;
        bytes += part;
        size -= part;
        if (used_ == buffer_.size())
            flush();
    }
    return *this;
}

Digest &Digest::number(std::uint64_t value) {
    std::array<unsigned char, 8> bytes;
    for (auto &byte : bytes) {
        byte = static_cast<unsigned char>(value);
        value >>= 8;
    }
    return raw(bytes.data(), bytes.size());
}

Digest &Digest::text(std::string_view value) {
    return number(value.size()).raw(value.data(), value.size());
}

std::uint64_t Digest::finish() {
    flush();
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    if (EVP_DigestFinal_ex(context_->evp.get(), hash.data(), nullptr) != 1)
        throw std::runtime_error("SHA-256 failed");
    std::uint64_t value = 0;
    for (int i = 7; i >= 0; --i)
        value = value << 8 | hash[static_cast<std::size_t>(i)];
    return value == 0 ? 1 : value;
}

} // namespace penstock::policy
