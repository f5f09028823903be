// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/mapped_array.h"

#include <cerrno>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace penstock::kernel {

Result<MappedArray> MappedArray::open(int fd, const std::string &name, std::size_t bytes) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    MappedArray array;
    array.bytes_ = (bytes + page - 1) / page * page;
    void *const data = ::mmap(nullptr, array.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return system_error("mmap map " + name, errno);
    array.data_ = data;
    return array;
}

MappedArray::MappedArray(MappedArray &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MappedArray &MappedArray::operator=(MappedArray &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

MappedArray::~MappedArray() {
    if (data_)
        ::munmap(data_, bytes_);
}

} // namespace penstock::kernel
