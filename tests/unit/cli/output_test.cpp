// SPDX-License-Identifier: Apache-2.0
#include "userspace/cli/output.h"

#include <boost/json.hpp>
#include <catch2/catch.hpp>
#include <yaml-cpp/yaml.h>

#include <sstream>

using namespace penstock::cli;
namespace json = boost::json;

namespace {

const std::string hostile = "\x1b[2J\r\n\x7f \xc2\x9b \xe2\x80\xae \xf3\xa0\x81\x81 \"quoted\" back\\slash";

bool harmless(const std::string &text) {
    for (const char character : text)
        if ((static_cast<unsigned char>(character) < 0x20 && character != '\n') || character == 0x7f)
            return false;
    return text.find("\xc2\x9b") == std::string::npos && text.find("\xe2\x80\xae") == std::string::npos;
}

template <class Print> std::string printed(Print print) {
    std::ostringstream out;
    print(out);
    return out.str();
}

} // namespace

TEST_CASE("JSON is harmless to a terminal, and reads back as it was") {
    const json::value value{{"name", hostile},
                            {"empty", json::array{}},
                            {"none", nullptr},
                            {"big", std::uint64_t{18446744073709551615U}},
                            {"list", json::array{1, -2, true, json::object{}}},
                            {"object", {{"inner", 1.5}}}};
    const JsonStyle style = GENERATE(JsonStyle::pretty, JsonStyle::line);
    const std::string text = printed([&](std::ostream &out) { print_json(out, value, style); });
    CHECK(harmless(text));
    CHECK(json::parse(text) == value);
    CHECK((style == JsonStyle::pretty || text.find('\n') == text.size() - 1));
}

TEST_CASE("YAML keeps texts texts, and is harmless to a terminal") {
    const std::string text =
        GENERATE(as<std::string>(), "true", "0x1f2a", "1.5", "12", "~", "null", "", "no", "y", "- a", "a: b",
                 "*.example.com", "/penstock.slice/web", "#x", "2026-01-31T12:00:00.123Z", hostile);
    const std::string out = printed([&](std::ostream &stream) {
        print_yaml(stream, {{"value", text}, {"list", json::array{text}}});
    });
    INFO(out);
    CHECK(harmless(out));
    const YAML::Node read = YAML::Load(out);
    CHECK(read["value"].as<std::string>() == text);
    CHECK(read["list"][0].as<std::string>() == text);
    // Bare, a reader would take it for a number, a truth or nothing: then it must have been quoted.
    const bool quoted = read["value"].Tag() == "!";
    CHECK((quoted || text == "/penstock.slice/web"));
}

TEST_CASE("YAML keeps numbers, truth, null and empty collections") {
    const std::string out = printed([](std::ostream &stream) {
        print_yaml(stream, {{"big", std::uint64_t{18446744073709551615U}},
                            {"flag", true},
                            {"none", nullptr},
                            {"list", json::array{}},
                            {"map", json::object{}}});
    });
    const YAML::Node read = YAML::Load(out);
    CHECK(read["big"].as<std::uint64_t>() == 18446744073709551615U);
    CHECK(read["flag"].as<bool>());
    CHECK(read["none"].IsNull());
    CHECK((read["list"].IsSequence() && read["list"].size() == 0));
    CHECK((read["map"].IsMap() && read["map"].size() == 0));
}

TEST_CASE("reads of missing or mistyped fields are empty") {
    const json::value value{{"text", 1},      {"number", "x"},          {"negative", -1},
                            {"flag", "true"}, {"list", json::object{}}, {"mixed", json::array{"a", 1, "b"}}};
    CHECK(text_at(value, "text") == "");
    CHECK(number_at(value, "number") == 0);
    CHECK(number_at(value, "negative") == 0);
    CHECK_FALSE(flag_at(value, "flag"));
    CHECK(list_at(value, "list").empty());
    CHECK(joined_at(value, "mixed", "+") == "a+b");
    CHECK(value_at(value, "absent").is_null());
    CHECK(text_at(json::value(3), "text") == "");
}
