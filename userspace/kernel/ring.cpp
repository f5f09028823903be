// SPDX-License-Identifier: Apache-2.0
#include "userspace/kernel/ring.h"

#include <bpf/libbpf.h>
#include <cerrno>
#include <exception>

namespace penstock::kernel {

struct EventRing::Reader {
    ring_buffer *ring = nullptr;
    const Callback *callback = nullptr;
    std::size_t limit = 0, seen = 0;
    std::exception_ptr thrown; // must not pass through libbpf's C frames

    ~Reader() { ::ring_buffer__free(ring); }
    int take(const void *data, std::size_t size);
};

namespace {

constexpr int stop = -ECANCELED; // the ring hands out no more; the record at hand counts as consumed

} // namespace

int EventRing::Reader::take(const void *data, std::size_t size) {
    if (size >= sizeof(abi::ps_event)) {
        try {
            (*callback)(*static_cast<const abi::ps_event *>(data));
        } catch (...) {
            thrown = std::current_exception();
            return stop;
        }
    }
    seen++;
    return limit && seen >= limit ? stop : 0;
}

Result<EventRing> EventRing::open(int births_fd, int denials_fd) {
    auto reader = std::make_unique<Reader>();
    const auto take = [](void *context, void *data, std::size_t size) {
        return static_cast<Reader *>(context)->take(data, size);
    };
    reader->ring = ::ring_buffer__new(births_fd, take, reader.get(), nullptr);
    if (!reader->ring)
        return system_error("open map births", errno);
    if (const int failure = ::ring_buffer__add(reader->ring, denials_fd, take, reader.get()))
        return system_error("open map events", -failure);
    return EventRing(std::move(reader));
}

EventRing::EventRing(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
EventRing::EventRing(EventRing &&) noexcept = default;
EventRing &EventRing::operator=(EventRing &&) noexcept = default;
EventRing::~EventRing() = default;

int EventRing::descriptor() const {
    return ::ring_buffer__epoll_fd(reader_->ring);
}

Result<std::size_t> EventRing::consume(const Callback &callback, std::size_t limit) {
    reader_->callback = &callback;
    reader_->limit = limit;
    reader_->seen = 0;
    const int got = ::ring_buffer__consume(reader_->ring); // in the order they were added
    reader_->callback = nullptr;
    if (reader_->thrown)
        std::rethrow_exception(std::exchange(reader_->thrown, nullptr));
    if (got < 0 && got != stop)
        return system_error("read the rings of events", -got);
    return reader_->seen;
}

} // namespace penstock::kernel
