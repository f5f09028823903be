// SPDX-License-Identifier: Apache-2.0
// Memory the kernel's programs share with us: every access is one atomic load or store of one word. For kernel/ alone.
#pragma once

#include <atomic>
#include <type_traits>

namespace penstock::kernel {

template <class T> T load(T &field) {
    return std::atomic_ref<T>(field).load(std::memory_order_acquire);
}
template <class T> void store(T &field, std::type_identity_t<T> value) {
    std::atomic_ref<T>(field).store(value, std::memory_order_release);
}

} // namespace penstock::kernel
