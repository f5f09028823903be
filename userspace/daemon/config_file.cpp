// SPDX-License-Identifier: Apache-2.0
// YAML text to raw settings. The only place of the daemon that knows yaml-cpp.
#include "userspace/daemon/config.h"

#include <algorithm>
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

} // namespace

void parse_config(const std::string &file, const std::string &text, RawSettings &raw, ConfigFaults &faults) {
    try {
        const auto documents = YAML::LoadAll(text);
        if (documents.size() > 1) {
            faults.faults.push_back(place_of(file, documents[1].Mark()) + ": expected one document");
            return;
        }
        if (!documents.empty())
            Reader(file, raw, faults).read(documents[0]);
    } catch (const YAML::Exception &error) { // yaml-cpp reports bad syntax in no other way
        faults.faults.push_back(place_of(file, error.mark) + ": " + error.msg);
    }
}

} // namespace penstock::daemon
