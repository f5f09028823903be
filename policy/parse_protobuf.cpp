// SPDX-License-Identifier: Apache-2.0
// Binary protobuf to messages, as strict as text: no field is dropped unread.
#include "policy/parse.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>

namespace penstock::policy {
namespace {

namespace pb = google::protobuf;

// A field that this version does not know must not be dropped: it may be a restriction.
bool has_unknown_fields(const pb::Message &message) {
    const auto &reflection = *message.GetReflection();
    if (!reflection.GetUnknownFields(message).empty())
        return true;
    std::vector<const pb::FieldDescriptor *> fields;
    reflection.ListFields(message, &fields);
    for (const auto *field : fields) {
        if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE || field->is_map())
            continue;
        const int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
        for (int i = 0; i < count; ++i)
            if (has_unknown_fields(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                        : reflection.GetMessage(message, field)))
                return true;
    }
    return false;
}

} // namespace

std::vector<Parsed> parse_protobuf(std::string_view text, Report &report) {
    std::vector<Parsed> out;
    const pb::LogSilencer quiet; // protobuf would write its complaint to stderr
    v1::EgressPolicyList list;
    if (!list.ParseFromArray(text.data(), static_cast<int>(text.size()))) {
        report.error({}, {}, "not a protobuf message of type penstock.v1.EgressPolicyList");
        return out;
    }
    if (has_unknown_fields(list)) {
        report.error({}, {}, "the message has fields that this version does not know");
        return out;
    }
    for (int i = 0; i < list.items_size(); ++i) {
        Parsed parsed;
        parsed.message.Swap(list.mutable_items(i));
        parsed.item = i;
        out.push_back(std::move(parsed));
    }
    return out;
}

} // namespace penstock::policy
