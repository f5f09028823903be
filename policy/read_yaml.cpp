// SPDX-License-Identifier: Apache-2.0
// YAML text to trees, by yaml-cpp's events. A policy needs little of YAML, so what can surprise is refused:
// anchors, aliases, tags, control characters, deep nesting.
#include "policy/document.h"
#include "policy/wording.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>

namespace penstock::policy {
namespace {

constexpr std::string_view digits = "0123456789";

bool all_of(std::string_view text, std::string_view set) {
    return !text.empty() && text.find_first_not_of(set) == text.npos;
}

bool is_decimal(std::string_view text) {
    if (!text.empty() && (text[0] == '+' || text[0] == '-'))
        text.remove_prefix(1);
    if (const auto e = text.find_first_of("eE"); e != text.npos) {
        auto exponent = text.substr(e + 1);
        if (!exponent.empty() && (exponent[0] == '+' || exponent[0] == '-'))
            exponent.remove_prefix(1);
        if (!all_of(exponent, digits))
            return false;
        text = text.substr(0, e);
    }
    if (const auto dot = text.find('.'); dot != text.npos) {
        const auto whole = text.substr(0, dot), fraction = text.substr(dot + 1);
        return (whole.empty() || all_of(whole, digits)) && (fraction.empty() || all_of(fraction, digits)) &&
               whole.size() + fraction.size() > 0;
    }
    return all_of(text, digits);
}

// What a plain scalar is by the core schema of YAML 1.2 (10.3.2); so `yes` and `on` are text.
Node::Kind kind_of_plain(std::string_view text) {
    for (const auto word : {"true", "True", "TRUE", "false", "False", "FALSE"})
        if (text == word)
            return Node::Kind::boolean;
    for (const auto word : {".inf", ".Inf", ".INF", "+.inf", "-.inf", ".nan", ".NaN", ".NAN"})
        if (text == word)
            return Node::Kind::number;
    if (text.substr(0, 2) == "0x" && all_of(text.substr(2), "0123456789abcdefABCDEF"))
        return Node::Kind::number;
    if (text.substr(0, 2) == "0o" && all_of(text.substr(2), "01234567"))
        return Node::Kind::number;
    return is_decimal(text) ? Node::Kind::number : Node::Kind::text;
}

struct TooManyValues {
    Place place;
};

// Builds one tree. Nodes nested too deep are reported once and left out.
class Builder final : public YAML::EventHandler {
  public:
    explicit Builder(Report &report) : report_(report) {}

    Node take_root() { return std::move(root_); }
    Place place(const YAML::Mark &mark) const { return {mark.line + first_line_, mark.column + 1}; }
    void pass_lines(int count) { // the next parser sees the text behind them
        first_line_ += count;
        document_start_ = -1;
    }

    void OnDocumentStart(const YAML::Mark &mark) override {
        if (mark.pos == document_start_) // yaml-cpp makes empty documents of a stray , or ] without end
            throw YAML::ParserException(mark, "unexpected text");
        document_start_ = mark.pos;
        open_.clear();
        root_ = Node{};
        too_deep_ = 0;
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark &mark, YAML::anchor_t anchor) override {
        add(start(mark, Node::Kind::empty, "?", anchor));
    }
    void OnAlias(const YAML::Mark &mark, YAML::anchor_t) override {
        Node node = start(mark, Node::Kind::faulty, "?", 0);
        if (!too_deep_)
            report_.error(node.place, {},
                          "an alias; policies take no anchors and aliases: write the value out, "
                          "and quote text that starts with *");
        add(std::move(node));
    }
    void OnScalar(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                  const std::string &value) override {
        const bool plain = tag == "?";
        Node node = start(mark, plain ? kind_of_plain(value) : Node::Kind::text,
                          tag == "tag:yaml.org,2002:str" ? "!" : tag, anchor);
        node.text = value;
        add(std::move(node));
    }
    void OnSequenceStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(start(mark, Node::Kind::list, tag == "tag:yaml.org,2002:seq" ? "?" : tag, anchor));
    }
    void OnMapStart(const YAML::Mark &mark, const std::string &tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(start(mark, Node::Kind::map, tag == "tag:yaml.org,2002:map" ? "?" : tag, anchor));
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

  private:
    Node start(const YAML::Mark &mark, Node::Kind kind, const std::string &tag, YAML::anchor_t anchor) {
        Node node;
        node.kind = kind;
        node.place = place(mark);
        if (++values_ > max_source_values)
            throw TooManyValues{node.place};
        if (too_deep_)
            return node;
        if (anchor)
            report_.error(node.place, {},
                          "an anchor; policies take no anchors and aliases: write the value out");
        if (!tag.empty() && tag != "?" && tag != "!")
            report_.error(node.place, {}, "a tag (" + quoted(tag) + "); policies take no tags");
        return node;
    }
    void open(Node node) {
        if (too_deep_ || open_.size() == static_cast<std::size_t>(max_nesting)) {
            if (!too_deep_++) {
                report_.error(node.place, {},
                              "nested deeper than " + std::to_string(max_nesting) + " levels");
                node.kind = Node::Kind::faulty;
                open_.back().children.push_back(std::move(node));
            }
            return;
        }
        open_.push_back(std::move(node));
    }
    void close() {
        if (too_deep_) {
            --too_deep_;
            return;
        }
        Node node = std::move(open_.back());
        open_.pop_back();
        add(std::move(node));
    }
    void add(Node node) {
        if (too_deep_)
            return;
        (open_.empty() ? root_ : open_.back().children.emplace_back()) = std::move(node);
    }

    Report &report_;
    int first_line_ = 1; // of the text that the parser sees
    int document_start_ = -1;
    Node root_;
    std::vector<Node> open_;
    std::size_t too_deep_ = 0;
    std::size_t values_ = 0;
};

// A text as a stream without a copy of it.
class TextBuffer final : public std::streambuf {
  public:
    explicit TextBuffer(std::string_view text) {
        char *begin = const_cast<char *>(text.data()); // a get area is never written to
        setg(begin, begin, begin + text.size());
    }
};

// yaml-cpp takes U+0004 for the end of the text and invalid UTF-8 as it comes; neither may pass.
std::size_t first_bad_octet(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead < 0x80) {
            if ((lead < 0x20 && lead != '\t' && lead != '\n' && lead != '\r') || lead == 0x7f)
                return i;
            ++i;
            continue;
        }
        const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (lead < 0xc2 || lead > 0xf4 || i + length > text.size())
            return i;
        unsigned code = lead & (0xffu >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto octet = static_cast<unsigned char>(text[i + k]);
            if ((octet & 0xc0) != 0x80)
                return i;
            code = (code << 6) | (octet & 0x3f);
        }
        if ((length == 3 && code < 0x800) || (length == 4 && (code < 0x10000 || code > 0x10ffff)) ||
            (code >= 0xd800 && code <= 0xdfff))
            return i;
        i += length;
    }
    return text.npos;
}

std::string explain(const YAML::Exception &error) {
    if (error.msg.find("alias") != std::string::npos ||
        error.msg.find("anchor is not defined") != std::string::npos)
        return "not YAML: text that starts with * must be quoted, as in \"*.example.com\"";
    if (error.msg == "unknown token")
        return "not YAML: " + error.msg + "; quote text that has ? or other marks of YAML in it";
    // yaml-cpp ends some messages with the octet it stopped at: its own mark of the end, or part of a character.
    if (std::any_of(error.msg.begin(), error.msg.end(), [](char c) { return c < 0x20 || c > 0x7e; }))
        return "not YAML: \\ in quoted text without a character that it can escape";
    return "not YAML: " + error.msg;
}

// The length of the text's first document with its mark. `---` at the start of a line is never anything
// else (YAML 1.2, 9.1.2), not in brackets or quotes either. Each document gets a parser of its own, as
// yaml-cpp's look-ahead for an open bracket would run through the documents that follow.
std::size_t document_length(std::string_view text) {
    for (auto at = text.find("\n---"); at != text.npos; at = text.find("\n---", at + 1))
        if (at + 4 == text.size() || std::string_view(" \t\r\n").find(text[at + 4]) != std::string_view::npos)
            return at + 1;
    return text.size();
}

void read_chunk(std::string_view text, Builder &builder, std::vector<Document> &documents, Report &report) {
    TextBuffer buffer(text);
    std::istream stream(&buffer);
    try {
        YAML::Parser parser(stream);
        for (auto before = report.errors(); parser.HandleNextDocument(builder); before = report.errors()) {
            Node root = builder.take_root();
            if (root.kind != Node::Kind::empty)
                documents.push_back({std::move(root), report.errors() != before});
        }
    } catch (const YAML::Exception &error) {
        const Place end = place_of(text, text.size());
        YAML::Mark mark = error.mark;
        if (std::pair(mark.line + 1, mark.column + 1) > std::pair(end.line, end.column)) {
            mark.line = end.line - 1; // yaml-cpp counts on behind the end of an unfinished escape
            mark.column = end.column - 1;
        }
        report.error(builder.place(mark), {}, explain(error));
    }
}

} // namespace

std::vector<Document> read_yaml(std::string_view text, Report &report) {
    std::vector<Document> documents;
    if (const auto bad = first_bad_octet(text); bad != text.npos) {
        report.error(place_of(text, bad), {}, "not YAML: a control character, or not UTF-8");
        return documents;
    }
    Builder builder(report);
    try {
        while (!text.empty()) {
            const auto chunk = text.substr(0, document_length(text));
            read_chunk(chunk, builder, documents, report);
            builder.pass_lines(static_cast<int>(std::count(chunk.begin(), chunk.end(), '\n')));
            text.remove_prefix(chunk.size());
        }
    } catch (const TooManyValues &fault) {
        report.error(fault.place, {},
                     "more than " + std::to_string(max_source_values) + " values in one source");
        documents.clear();
    }
    return documents;
}

} // namespace penstock::policy
