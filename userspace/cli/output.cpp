// SPDX-License-Identifier: Apache-2.0
// See output.h.
#include "userspace/cli/output.h"

#include "userspace/cli/terminal_text.h"

#include <boost/json.hpp>
#include <yaml-cpp/emitter.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <ostream>

namespace penstock::cli {
namespace json = boost::json;
namespace {

void print_unit(std::ostream &out, unsigned unit) {
    std::array<char, 16> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "\\u%04x", unit);
    out << buffer.data();
}

// A fraction as people and YAML 1.1 read it too: "0.5", where boost::json writes 5E-1.
std::string number_text(const json::value &value) {
    if (!value.is_double())
        return json::serialize(value);
    std::array<char, 400> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.3f", value.get_double());
    std::string text = buffer.data();
    text.erase(text.find_last_not_of('0') + 1);
    return text + (text.ends_with('.') ? "0" : "");
}

void print_escaped(std::ostream &out, std::int32_t code_point) {
    const auto value = static_cast<unsigned>(code_point < 0 ? 0xFFFD : code_point);
    if (value == '\n')
        out << "\\n";
    else if (value == '\t')
        out << "\\t";
    else if (value < 0x10000)
        print_unit(out, value);
    else {
        print_unit(out, 0xD800 + ((value - 0x10000) >> 10));
        print_unit(out, 0xDC00 + ((value - 0x10000) & 0x3FF));
    }
}

void print_string(std::ostream &out, std::string_view text) {
    out << '"';
    for (std::size_t position = 0; position < text.size();) {
        const std::size_t start = position;
        const std::int32_t code_point = next_code_point(text, position);
        if (code_point == '"' || code_point == '\\')
            out << '\\' << static_cast<char>(code_point);
        else if (code_point < 0 || is_unprintable(code_point))
            print_escaped(out, code_point);
        else
            out << text.substr(start, position - start);
    }
    out << '"';
}

class JsonPrinter {
  public:
    JsonPrinter(std::ostream &out, JsonStyle style) : out_(out), style_(style) {}

    void print(const json::value &value, int depth = 0) {
        if (const auto *object = value.if_object())
            print_members(*object, depth);
        else if (const auto *array = value.if_array())
            print_elements(*array, depth);
        else if (const auto *text = value.if_string())
            print_string(out_, *text);
        else
            out_ << number_text(value);
    }

  private:
    void print_members(const json::object &object, int depth) {
        out_ << '{';
        bool first = true;
        for (const auto &member : object) {
            separate(first, depth + 1);
            print_string(out_, member.key());
            out_ << ": ";
            print(member.value(), depth + 1);
        }
        close(first, depth, '}');
    }

    void print_elements(const json::array &array, int depth) {
        out_ << '[';
        bool first = true;
        for (const json::value &element : array) {
            separate(first, depth + 1);
            print(element, depth + 1);
        }
        close(first, depth, ']');
    }

    void separate(bool &first, int depth) {
        if (style_ == JsonStyle::line)
            out_ << (first ? "" : ", ");
        else
            out_ << (first ? "\n" : ",\n") << std::string(static_cast<std::size_t>(depth) * 2, ' ');
        first = false;
    }

    void close(bool empty, int depth, char bracket) {
        if (!empty && style_ == JsonStyle::pretty)
            out_ << '\n' << std::string(static_cast<std::size_t>(depth) * 2, ' ');
        out_ << bracket;
    }

    std::ostream &out_;
    JsonStyle style_;
};

// yaml-cpp writes the text "true" or "0x1" bare, and it would be read back as something else.
bool may_stand_bare(std::string_view text) {
    if (text.empty() || (!std::isalpha(static_cast<unsigned char>(text.front())) && text.front() != '/'))
        return false;
    for (const char character : text)
        if (!std::isalnum(static_cast<unsigned char>(character)) &&
            std::string_view("/._-").find(character) == std::string_view::npos)
            return false;
    std::string lower(text);
    for (char &character : lower)
        character = static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
    for (const std::string_view word : {"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
        if (lower == word)
            return false;
    return true;
}

void emit_text(YAML::Emitter &emitter, std::string_view text) {
    emitter << (may_stand_bare(text) ? YAML::Auto : YAML::DoubleQuoted) << std::string(text);
}

void emit(YAML::Emitter &emitter, const json::value &value) {
    if (const auto *object = value.if_object()) {
        emitter << (object->empty() ? YAML::Flow : YAML::Block) << YAML::BeginMap;
        for (const auto &member : *object) {
            emitter << YAML::Key;
            emit_text(emitter, member.key());
            emitter << YAML::Value;
            emit(emitter, member.value());
        }
        emitter << YAML::EndMap;
    } else if (const auto *array = value.if_array()) {
        emitter << (array->empty() ? YAML::Flow : YAML::Block) << YAML::BeginSeq;
        for (const json::value &element : *array)
            emit(emitter, element);
        emitter << YAML::EndSeq;
    } else if (const auto *text = value.if_string()) {
        emit_text(emitter, *text);
    } else if (value.is_null()) {
        emitter << YAML::Null;
    } else {
        emitter << YAML::Auto << number_text(value);
    }
}

} // namespace

void print_json(std::ostream &out, const json::value &value, JsonStyle style) {
    JsonPrinter(out, style).print(value);
    out << '\n';
}

void print_yaml(std::ostream &out, const json::value &value) {
    YAML::Emitter emitter;
    emitter.SetOutputCharset(YAML::EscapeNonAscii);
    emit(emitter, value);
    out << emitter.c_str() << '\n';
}

void print_value(const Output &output, const json::value &value) {
    if (output.format == Format::yaml)
        print_yaml(output.out, value);
    else
        print_json(output.out, value, JsonStyle::pretty);
}

const json::value &value_at(const json::value &value, std::string_view field) {
    static const json::value null;
    const auto *object = value.if_object();
    const auto *found = object != nullptr ? object->if_contains(field) : nullptr;
    return found != nullptr ? *found : null;
}

std::string text_at(const json::value &value, std::string_view field) {
    const auto *text = value_at(value, field).if_string();
    return text != nullptr ? std::string(*text) : std::string();
}

std::uint64_t number_at(const json::value &value, std::string_view field) {
    const json::value &found = value_at(value, field);
    if (const auto *number = found.if_uint64())
        return *number;
    const auto *number = found.if_int64();
    return number != nullptr && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

bool flag_at(const json::value &value, std::string_view field) {
    const auto *flag = value_at(value, field).if_bool();
    return flag != nullptr && *flag;
}

const json::array &list_at(const json::value &value, std::string_view field) {
    static const json::array none;
    const auto *list = value_at(value, field).if_array();
    return list != nullptr ? *list : none;
}

std::string rule_of(const json::value &value) {
    const std::string policy = text_at(value, "policy"), rule = text_at(value, "rule");
    return rule.empty() || policy.empty() ? policy + rule : policy + "/" + rule;
}

std::string joined_at(const json::value &value, std::string_view field, std::string_view separator) {
    std::string out;
    for (const json::value &element : list_at(value, field)) {
        const auto *text = element.if_string();
        if (text == nullptr)
            continue;
        out += (out.empty() ? std::string_view() : separator);
        out += std::string_view(*text);
    }
    return out;
}

} // namespace penstock::cli
