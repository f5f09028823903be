// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/naive_dns.h"

#include <cctype>
#include <stdexcept>

namespace penstock::fuzz {
namespace {

struct Refused {
    int reason;
};

// Reads forward; past the end it throws out_of_range.
class Reader {
  public:
    explicit Reader(Bytes message, std::size_t at = 0) : message_(message), at_(at) {}
    std::size_t at() const { return at_; }
    std::size_t left() const { return message_.size() - std::min(at_, message_.size()); }
    std::uint8_t octet() {
        if (!left())
            throw std::out_of_range("message");
        return message_[at_++];
    }
    std::uint32_t number(int octets) {
        std::uint32_t value = 0;
        while (octets--)
            value = value * 256 + octet();
        return value;
    }
    void skip(std::size_t octets) {
        if (octets > left())
            throw std::out_of_range("message");
        at_ += octets;
    }

  private:
    Bytes message_;
    std::size_t at_;
};

struct Header {
    int id, flags, counts[4];
    bool response() const { return flags & 0x8000; }
    int opcode() const { return flags >> 11 & 15; }
};

Header read_header(Reader &reader) {
    Header header{};
    header.id = static_cast<int>(reader.number(2));
    header.flags = static_cast<int>(reader.number(2));
    for (int &count : header.counts)
        count = static_cast<int>(reader.number(2));
    return header;
}

// A name as a query may have it: no compression, nothing that a dotted text could not show.
std::string read_plain_name(Reader &reader) {
    std::string name;
    const auto append = [&](char c) {
        name += c;
        if (name.size() > abi::PS_NAME_MAX)
            throw Refused{abi::PS_R_DNS_NAME_LONG};
    };
    for (bool first = true; const int length = reader.octet(); first = false) {
        if (length > 63)
            throw Refused{abi::PS_R_DNS_LABEL};
        if (!first)
            append('.');
        for (int i = 0; i < length; ++i) {
            const int c = reader.octet();
            if (c == '.' || c >= 0x7f || !std::isgraph(c))
                throw Refused{abi::PS_R_DNS_LABEL};
            append(static_cast<char>(std::tolower(c)));
        }
    }
    return name;
}

void read_question(Reader &reader, NaiveQuestion &question) {
    question.name = read_plain_name(reader);
    if (reader.left() < 4)
        throw Refused{abi::PS_R_DNS_SHORT};
    question.type = static_cast<int>(reader.number(2));
    if (reader.number(2) != 1)
        throw Refused{abi::PS_R_DNS_CLASS};
    question.end = reader.at();
}

// The one EDNS record there may be: root name, type OPT, data up to the message's end.
bool is_edns(Reader reader) {
    try {
        if (reader.octet() != 0 || reader.number(2) != 41)
            return false;
        reader.skip(6); // payload size, extended flags
        const auto length = reader.number(2);
        return length == reader.left();
    } catch (const std::out_of_range &) {
        return false;
    }
}

// Behind a name that may end in a pointer; nothing if it is no name.
bool skip_any_name(Reader &reader) {
    for (int labels = 0; labels < 128; ++labels) {
        const int length = reader.octet();
        if (!length)
            return true;
        if (length >= 0xc0) {
            reader.skip(1);
            return true;
        }
        if (length > 63)
            return false;
        reader.skip(static_cast<std::size_t>(length));
    }
    return false;
}

void read_query(Bytes message, NaiveQuestion &question) {
    Reader reader(message);
    const Header header = read_header(reader);
    question.id = header.id;
    if (header.response())
        throw Refused{abi::PS_R_DNS_RESPONSE};
    if (header.opcode() != 0)
        throw Refused{abi::PS_R_DNS_OPCODE};
    if (header.counts[0] != 1)
        throw Refused{abi::PS_R_DNS_QDCOUNT};
    if (header.counts[1] != 0 || header.counts[2] != 0 || header.counts[3] > 1)
        throw Refused{abi::PS_R_DNS_COUNTS};
    read_question(reader, question);
    if (header.counts[3] ? !is_edns(reader) : reader.left() > 0)
        throw Refused{abi::PS_R_DNS_TRAILING};
}

} // namespace

NaiveQuestion read_naive_query(Bytes message) {
    NaiveQuestion question;
    try {
        read_query(message, question);
    } catch (const Refused &refused) {
        question.reason = refused.reason;
    } catch (const std::out_of_range &) {
        question.reason = abi::PS_R_DNS_SHORT;
    }
    return question;
}

NaiveAnswer read_naive_answer(Bytes message) {
    NaiveAnswer answer;
    try {
        Reader reader(message);
        const Header header = read_header(reader);
        if (!header.response() || header.opcode() != 0 || header.counts[0] != 1)
            throw Refused{abi::PS_R_ANSWER_MALFORMED};
        answer.question.id = header.id;
        answer.truncated = header.flags & 0x0200;
        answer.rcode = header.flags & 15;
        answer.announced = header.counts[1];
        read_question(reader, answer.question);
    } catch (const Refused &) {
        answer.malformed = true;
    } catch (const std::out_of_range &) {
        answer.malformed = true;
    }
    return answer;
}

std::optional<NaiveRecord> read_naive_record(Bytes message, std::size_t at) {
    try {
        Reader reader(message, at);
        if (!skip_any_name(reader))
            return std::nullopt;
        NaiveRecord record;
        const auto type = static_cast<int>(reader.number(2));
        record.type = reader.number(2) == 1 ? type : 0;
        record.ttl = reader.number(4);
        record.length = reader.number(2);
        record.data = reader.at();
        reader.skip(record.length);
        record.end = reader.at();
        return record;
    } catch (const std::out_of_range &) {
        return std::nullopt;
    }
}

} // namespace penstock::fuzz
