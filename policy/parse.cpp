// SPDX-License-Identifier: Apache-2.0
#include "policy/parse.h"

#include "policy/document.h"
#include "policy/wording.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <unordered_set>

namespace penstock::policy {
namespace {

namespace pb = google::protobuf;

// What a text field looks like, for "expected text such as ...". By the name in policy.proto.
const char *example_of(const std::string &field) {
    struct Example {
        const char *field, *text;
    };
    static constexpr Example examples[] = {
        {"ports", "tcp/443"},
        {"domains", "example.com"},
        {"cidrs", "10.0.0.0/8"},
        {"min_ttl", "30s"},
        {"queries", "50/s burst 100"},
        {"egress", "10MiB/s burst 20MiB"},
        {"ingress", "10MiB/s"},
        {"connections", "120/min"},
        {"packets", "5000/s"},
        {"quota", "1GiB/24h"},
        {"mode", "enforce"},
        {"inbound", "allow"},
        {"loopback", "allow"},
        {"flows", "on"},
        {"private", "deny"},
        {"kind", "EgressPolicy"},
        {"api_version", "penstock/v1"},
        {"cgroup", "/penstock.slice/**"},
    };
    for (const auto &example : examples)
        if (field == example.field)
            return example.text;
    return nullptr;
}

std::vector<std::string_view> field_names(const pb::Descriptor &type) {
    std::vector<std::string_view> names;
    names.reserve(static_cast<std::size_t>(type.field_count()));
    for (int i = 0; i < type.field_count(); ++i)
        names.emplace_back(type.field(i)->json_name());
    return names;
}

// A message that stands for a list, see policy.proto.
const pb::FieldDescriptor *list_shape(const pb::Descriptor &type) {
    return type.field_count() == 1 && type.field(0)->name() == "values" ? type.field(0) : nullptr;
}

class Reader {
  public:
    explicit Reader(Report &report) : report_(report) {}

    bool message(const Node &node, const Where &where, pb::Message &into, Places &places);

  private:
    void field(const Node &key, const Node &value, const Where &where, pb::Message &into, Places &places);
    bool value(const Node &, const pb::FieldDescriptor &, const Where &, pb::Message &into, Places &);
    bool list(const Node &, const pb::FieldDescriptor &, const Where &, pb::Message &into, Places &);
    bool shaped_list(const Node &, const pb::FieldDescriptor &values, const Where &, pb::Message &into,
                     Places &);
    bool text_map(const Node &, const pb::FieldDescriptor &, const Where &, pb::Message &into, Places &);
    bool text(const Node &, const char *example, const Where &);
    bool expect(const Node &, Node::Kind, const char *expected, const Where &);
    void fault(const Node &, const Where &, std::string message);

    Report &report_;
};

void Reader::fault(const Node &node, const Where &where, std::string message) {
    report_.error(node.place, where.path(), std::move(message));
}

bool Reader::expect(const Node &node, Node::Kind kind, const char *expected, const Where &where) {
    if (node.kind == kind)
        return true;
    if (node.kind == Node::Kind::faulty) // reported by the reader of the text
        return false;
    std::string message = std::string("expected ") + expected + ", found " + node.describe();
    if (kind == Node::Kind::list && node.kind == Node::Kind::text)
        message += "; write it as [" + quoted(node.text) + "]";
    fault(node, where, std::move(message));
    return false;
}

bool Reader::text(const Node &node, const char *example, const Where &where) {
    std::string expected = "text";
    if (example)
        expected += std::string(" such as ") + quoted(example);
    return expect(node, Node::Kind::text, expected.c_str(), where);
}

bool Reader::message(const Node &node, const Where &where, pb::Message &into, Places &places) {
    places.at = node.place;
    if (!expect(node, Node::Kind::map, "a mapping", where))
        return false;
    std::unordered_set<std::string_view> seen;
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
        const Node &key = node.children[i], &value = node.children[i + 1];
        if (key.kind == Node::Kind::list || key.kind == Node::Kind::map || key.kind == Node::Kind::faulty)
            expect(key, Node::Kind::text, "a field name", where);
        else if (!seen.insert(key.text).second)
            fault(key, where, "field " + quoted(key.text) + " is given twice");
        else
            field(key, value, where, into, places);
    }
    return true;
}

void Reader::field(const Node &key, const Node &node, const Where &where, pb::Message &into, Places &places) {
    const auto &type = *into.GetDescriptor();
    const pb::FieldDescriptor *field = nullptr;
    for (int i = 0; i < type.field_count() && !field; ++i)
        if (type.field(i)->json_name() == key.text)
            field = type.field(i);
    if (!field) {
        const auto names = field_names(type);
        std::string_view near;
        const auto suggestion = did_you_mean(key.text, names, &near);
        fault(key, where,
              "unknown field " + quoted(key.text) +
                  (near.empty() ? "; expected " + any_of(names) : suggestion));
        if (!near.empty() && !places.field(near))
            places.fault(near, key.place);
        return;
    }
    Places child;
    child.at = node.place;
    child.key = key.text;
    if (!value(node, *field, where.field(child.key), into, child))
        child.faulty = true;
    for (Places &other : places.children) // a near miss of this field stood before it
        if (other.key == child.key) {
            other = std::move(child);
            return;
        }
    places.children.push_back(std::move(child));
}

bool Reader::value(const Node &node, const pb::FieldDescriptor &field, const Where &where, pb::Message &into,
                   Places &places) {
    const auto &reflection = *into.GetReflection();
    if (field.is_map())
        return text_map(node, field, where, into, places);
    if (field.is_repeated())
        return list(node, field, where, into, places);
    if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
        if (const auto *values = list_shape(*field.message_type()))
            return shaped_list(node, *values, where, *reflection.MutableMessage(&into, &field), places);
        return message(node, where, *reflection.MutableMessage(&into, &field), places);
    }
    if (!text(node, example_of(field.name()), where))
        return false;
    reflection.SetString(&into, &field, node.text);
    return true;
}

bool Reader::shaped_list(const Node &node, const pb::FieldDescriptor &values, const Where &where,
                         pb::Message &into, Places &places) {
    const bool may_be_any = values.containing_type()->name() == "Resolvers";
    if (may_be_any && node.kind == Node::Kind::text && node.text == "any") {
        into.GetReflection()->AddString(&into, &values, node.text);
        Places item;
        item.at = node.place;
        places.children.push_back(std::move(item));
        return true;
    }
    if (may_be_any && node.kind != Node::Kind::list)
        return expect(node, Node::Kind::list, "a list of addresses or any", where);
    return list(node, values, where, into, places);
}

// Items that cannot be read are left out; `index` keeps the others' count in the text.
bool Reader::list(const Node &node, const pb::FieldDescriptor &field, const Where &where, pb::Message &into,
                  Places &places) {
    if (!expect(node, Node::Kind::list, "a list", where))
        return false;
    const auto &reflection = *into.GetReflection();
    const bool of_messages = field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE;
    const char *example = of_messages ? nullptr : example_of(field.name());
    bool whole = true;
    places.children.reserve(node.children.size());
    for (std::size_t i = 0; i < node.children.size(); ++i) {
        const Node &child = node.children[i];
        const Where at = where.item(static_cast<int>(i));
        Places item;
        item.at = child.place;
        item.index = static_cast<int>(i);
        if (of_messages && child.kind == Node::Kind::map) {
            message(child, at, *reflection.AddMessage(&into, &field), item);
        } else if (of_messages ? !expect(child, Node::Kind::map, "a mapping", at)
                               : !text(child, example, at)) {
            whole = false;
            continue;
        } else {
            reflection.AddString(&into, &field, child.text);
        }
        places.children.push_back(std::move(item));
    }
    return whole;
}

bool Reader::text_map(const Node &node, const pb::FieldDescriptor &field, const Where &where,
                      pb::Message &into, Places &places) {
    if (!expect(node, Node::Kind::map, "a mapping of text to text", where))
        return false;
    const auto &entry_type = *field.message_type();
    std::unordered_set<std::string_view> seen;
    bool whole = true;
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
        const Node &key = node.children[i], &value = node.children[i + 1];
        if (!text(key, nullptr, where) || !text(value, nullptr, where.field(key.text))) {
            whole = false;
            continue;
        }
        if (!seen.insert(key.text).second) {
            fault(key, where, "key " + quoted(key.text) + " is given twice");
            whole = false;
            continue;
        }
        pb::Message &entry = *into.GetReflection()->AddMessage(&into, &field);
        entry.GetReflection()->SetString(&entry, entry_type.map_key(), key.text);
        entry.GetReflection()->SetString(&entry, entry_type.map_value(), value.text);
        Places child;
        child.at = value.place;
        child.key = key.text;
        places.children.push_back(std::move(child));
    }
    return whole;
}

} // namespace

std::vector<Parsed> parse(const Source &source, Report &report) {
    std::vector<Parsed> out;
    if (source.text.size() > max_source_octets) {
        report.error({}, {}, "longer than " + std::to_string(max_source_octets >> 20) + " MiB");
        return out;
    }
    if (source.format == Format::protobuf)
        return parse_protobuf(source.text, report);
    const auto documents =
        source.format == Format::json ? read_json(source.text, report) : read_yaml(source.text, report);
    Reader reader(report);
    for (const Document &document : documents) {
        Parsed parsed;
        const auto before = report.errors();
        if (!reader.message(document.root, Where(report, nullptr), parsed.message, parsed.places))
            continue;
        parsed.faulty = document.faulty || report.errors() != before;
        out.push_back(std::move(parsed));
    }
    return out;
}

} // namespace penstock::policy
