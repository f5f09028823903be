// SPDX-License-Identifier: Apache-2.0
// JSON text to a tree. Boost.JSON decides whether the text is strict JSON; as it gives no places, a small
// walk over the text, now known to be right, makes the tree. The walk trusts the syntax and checks no more.
#include "policy/document.h"

#include <boost/json/basic_parser_impl.hpp>

namespace penstock::policy {
namespace {

namespace json = boost::json;

// Only the syntax is asked for: every event is taken and dropped.
struct Ignore {
    static constexpr std::size_t max_object_size = max_source_octets;
    static constexpr std::size_t max_array_size = max_source_octets;
    static constexpr std::size_t max_key_size = max_source_octets;
    static constexpr std::size_t max_string_size = max_source_octets;
    using code = json::error_code;
    using view = json::string_view;
    bool on_document_begin(code &) { return true; }
    bool on_document_end(code &) { return true; }
    bool on_object_begin(code &) { return true; }
    bool on_object_end(std::size_t, code &) { return true; }
    bool on_array_begin(code &) { return true; }
    bool on_array_end(std::size_t, code &) { return true; }
    bool on_key_part(view, std::size_t, code &) { return true; }
    bool on_key(view, std::size_t, code &) { return true; }
    bool on_string_part(view, std::size_t, code &) { return true; }
    bool on_string(view, std::size_t, code &) { return true; }
    bool on_number_part(view, code &) { return true; }
    bool on_int64(std::int64_t, view, code &) { return true; }
    bool on_uint64(std::uint64_t, view, code &) { return true; }
    bool on_double(double, view, code &) { return true; }
    bool on_bool(bool, code &) { return true; }
    bool on_null(code &) { return true; }
    bool on_comment_part(view, code &) { return true; }
    bool on_comment(view, code &) { return true; }
};

bool check_syntax(std::string_view text, Report &report) {
    json::parse_options options;
    options.max_depth = max_nesting;
    json::basic_parser<Ignore> parser(options);
    json::error_code error;
    std::size_t used = parser.write_some(false, text.data(), text.size(), error);
    if (!error) {
        while (used < text.size() && std::string_view(" \t\r\n").find(text[used]) != std::string_view::npos)
            ++used;
        if (used == text.size())
            return true;
        report.error(place_of(text, used), {}, "not JSON: text after the end of the document");
        return false;
    }
    if (error == json::error::too_deep)
        report.error(place_of(text, used), {},
                     "nested deeper than " + std::to_string(max_nesting) + " levels");
    else
        report.error(place_of(text, used), {}, "not JSON: " + error.message());
    return false;
}

class Walk {
  public:
    explicit Walk(std::string_view text) : text_(text) {}
    bool full() const { return values_ > max_source_values; }

    Node value() {
        skip_space();
        Node node;
        node.place = place();
        if (++values_ > max_source_values)
            return node;
        switch (text_[at_]) {
        case '{':
            list_or_map(node, Node::Kind::map, '}');
            break;
        case '[':
            list_or_map(node, Node::Kind::list, ']');
            break;
        case '"':
            node.kind = Node::Kind::text;
            node.text = string();
            break;
        default:
            literal(node);
        }
        return node;
    }

  private:
    Place place() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }

    void skip_space() {
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') {
                ++line_;
                line_start_ = at_ + 1;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                break;
            }
        }
    }
    // Colons and commas tell nothing that the order does not.
    void list_or_map(Node &node, Node::Kind kind, char end) {
        node.kind = kind;
        for (++at_; !full(); ++at_) {
            skip_space();
            if (text_[at_] == end) {
                ++at_;
                return;
            }
            if (text_[at_] != ',' && text_[at_] != ':') {
                node.children.push_back(value());
                --at_;
            }
        }
    }
    void literal(Node &node) {
        const auto end = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
        node.text = text_.substr(at_, end - at_);
        at_ = end;
        if (node.text == "null")
            node.kind = Node::Kind::empty;
        else
            node.kind =
                node.text == "true" || node.text == "false" ? Node::Kind::boolean : Node::Kind::number;
    }
    std::string string() {
        std::string out;
        for (++at_; text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\')
                escape(out);
            else
                out += text_[at_];
        }
        ++at_;
        return out;
    }
    unsigned hex4() { // at_: the u of \uXXXX, then its last digit
        const auto value =
            static_cast<unsigned>(std::stoul(std::string(text_.substr(at_ + 1, 4)), nullptr, 16));
        at_ += 4;
        return value;
    }
    void escape(std::string &out) {
        const char c = text_[++at_];
        switch (c) {
        case 'b':
            out += '\b';
            return;
        case 'f':
            out += '\f';
            return;
        case 'n':
            out += '\n';
            return;
        case 'r':
            out += '\r';
            return;
        case 't':
            out += '\t';
            return;
        case 'u':
            break;
        default:
            out += c;
            return;
        }
        unsigned code = hex4();
        if (code >= 0xd800 && code < 0xdc00) { // Boost.JSON has seen that the second half follows
            at_ += 2;
            code = 0x10000 + ((code - 0xd800) << 10) + (hex4() - 0xdc00);
        }
        append_utf8(out, code);
    }
    static void append_utf8(std::string &out, unsigned code) {
        const auto put = [&](unsigned octet) { out += static_cast<char>(octet); };
        if (code < 0x80)
            return put(code);
        if (code < 0x800) {
            put(0xc0 | code >> 6);
        } else {
            if (code < 0x10000) {
                put(0xe0 | code >> 12);
            } else {
                put(0xf0 | code >> 18);
                put(0x80 | (code >> 12 & 0x3f));
            }
            put(0x80 | (code >> 6 & 0x3f));
        }
        put(0x80 | (code & 0x3f));
    }

    std::string_view text_;
    std::size_t at_ = 0, line_start_ = 0;
    std::size_t values_ = 0;
    int line_ = 1;
};

} // namespace

std::vector<Document> read_json(std::string_view text, Report &report) {
    std::vector<Document> documents;
    if (!check_syntax(text, report))
        return documents;
    Walk walk(text);
    Node root = walk.value();
    if (walk.full())
        report.error({1, 1}, {}, "more than " + std::to_string(max_source_values) + " values in one source");
    else
        documents.push_back({std::move(root), false});
    return documents;
}

} // namespace penstock::policy
