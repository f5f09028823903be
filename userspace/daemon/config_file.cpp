// SPDX-License-Identifier: Apache-2.0
// YAML text to raw settings. The only place of the daemon that knows yaml-cpp.
#include "userspace/daemon/config.h"

#include <algorithm>
#include <sstream>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace penstock::daemon {
namespace {

std::string place_of(const std::string &file, const YAML::Mark &mark) {
    return mark.is_null()
               ? file
               : file + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
}

class Reader {
  public:
    Reader(const std::string &file, RawSettings &raw, ConfigFaults &faults)
        : file_(file), raw_(raw), faults_(faults) {}

    void read(const YAML::Node &root) {
        if (root.IsNull())
            return;
        if (!root.IsMap())
            return fault(root, "expected settings as `name: value`");
        for (const auto &entry : root)
            read_setting(entry.first, entry.second);
    }

  private:
    void fault(const YAML::Node &node, const std::string &text) {
        faults_.faults.push_back(place_of(file_, node.Mark()) + ": " + text);
    }

    void read_setting(const YAML::Node &key, const YAML::Node &value) {
        if (!key.IsScalar())
            return fault(key, "expected the name of a setting");
        const std::string name = key.Scalar();
        const auto &known = settings();
        const auto setting =
            std::find_if(known.begin(), known.end(), [&](const Setting &s) { return s.name == name; });
        if (setting == known.end())
            return fault(key, "unknown setting '" + name + "'");
        if (!seen_.insert({name, true}).second)
            return fault(key, "'" + name + "' is given twice");
        auto &values = raw_[name];
        if (!setting->repeatable) {
            if (!value.IsScalar())
                return fault(value.IsDefined() && !value.IsNull() ? value : key,
                             "'" + name + "' takes one value");
            values.push_back({value.Scalar(), place_of(file_, value.Mark())});
            return;
        }
        if (!value.IsSequence())
            return fault(value.IsNull() ? key : value, "'" + name + "' takes a list");
        for (const auto &item : value) {
            if (item.IsScalar())
                values.push_back({item.Scalar(), place_of(file_, item.Mark())});
            else
                fault(item, "'" + name + "' takes a list of plain values");
        }
    }

    const std::string &file_;
    RawSettings &raw_;
    ConfigFaults &faults_;
    std::map<std::string, bool> seen_;
};

// Counts the documents before a tree is made of any: yaml-cpp makes empty documents of a stray , or ] without end.
class OneDocument final : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark &mark) override {
        if (seen_ && mark.pos == start_)
            throw YAML::ParserException(mark, "unexpected text");
        if (seen_)
            throw YAML::ParserException(mark, "expected one document");
        seen_ = true;
        start_ = mark.pos;
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark &, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark &, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark &, const std::string &, YAML::anchor_t, const std::string &) override {}
    void OnSequenceStart(const YAML::Mark &, const std::string &, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark &, const std::string &, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}

  private:
    bool seen_ = false;
    int start_ = 0;
};

void check_one_document(const std::string &text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    OneDocument handler;
    while (parser.HandleNextDocument(handler)) {
    }
}

} // namespace

void parse_config(const std::string &file, const std::string &text, RawSettings &raw, ConfigFaults &faults) {
    try {
        check_one_document(text);
        Reader(file, raw, faults).read(YAML::Load(text));
    } catch (const YAML::Exception &error) { // yaml-cpp reports bad syntax in no other way
        faults.faults.push_back(place_of(file, error.mark) + ": " + error.msg);
    }
}

} // namespace penstock::daemon
