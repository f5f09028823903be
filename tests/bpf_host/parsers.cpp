// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf_host/parsers.h"

#include <algorithm>
#include <cstring>

namespace {

struct scratch &the_scratch() {
    static auto one = std::make_unique<struct scratch>();
    return *one;
}

void put16(penstock::bpf_host::Octets &to, std::uint16_t value) {
    to.push_back(static_cast<std::uint8_t>(value >> 8));
    to.push_back(static_cast<std::uint8_t>(value));
}

} // namespace

struct scratch *scratch__at(__u32) {
    return &the_scratch();
}

namespace penstock::bpf_host {

struct scratch &fresh_scratch() {
    the_scratch() = {};
    return the_scratch();
}

Packet::Packet(const Octets &octets, std::uint32_t gso_segs)
    : view{}, octets_(std::make_unique<std::uint8_t[]>(octets.size())) {
    std::copy(octets.begin(), octets.end(), octets_.get());
    view.octets = octets_.get();
    view.len = static_cast<__u32>(octets.size());
    view.gso_segs = gso_segs;
}

Octets wire_name(const std::string &dotted) {
    Octets wire;
    std::size_t begin = 0;
    while (begin < dotted.size()) {
        const std::size_t end = std::min(dotted.find('.', begin), dotted.size());
        wire.push_back(static_cast<std::uint8_t>(end - begin));
        wire.insert(wire.end(), dotted.begin() + static_cast<long>(begin),
                    dotted.begin() + static_cast<long>(end));
        begin = end + 1;
    }
    wire.push_back(0);
    return wire;
}

Octets Message::octets() const {
    Octets out;
    for (const auto word : {id, flags, questions, answers, authorities, additionals})
        put16(out, word);
    const Octets wire = raw_name.empty() ? wire_name(name) : raw_name;
    out.insert(out.end(), wire.begin(), wire.end());
    put16(out, type);
    put16(out, dns_class);
    out.insert(out.end(), tail.begin(), tail.end());
    return out;
}

int read_query(const Octets &message) {
    Packet packet(message);
    fresh_scratch();
    if (const int reason = dns__copy(&packet.view, 0, 0, packet.view.len))
        return reason;
    return dns__read_query(0, 42);
}

std::string name_read() {
    const struct scratch *s = scratch__at(0);
    const auto *begin = s->name + (PS_NAME_END - s->name_length);
    return {begin, begin + s->name_length};
}

} // namespace penstock::bpf_host
