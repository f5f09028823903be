// SPDX-License-Identifier: Apache-2.0
// Collects the faults of one source, and knows where in its text every value stands.
// Private to the front end (parse, validate, load). Knows nothing of the schema.
#pragma once

#include "policy/diagnostic.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::policy {

struct Place {
    int line = 0;   // 1-based; 0: no place (binary protobuf)
    int column = 0; // in octets
};

// The places of a message's values, a tree of the message's shape.
struct Places {
    Place at;
    std::string key;     // of a field, as the text calls it
    int index = -1;      // of a list item, as the text counts it: items that are no values are left out here
    bool faulty = false; // reported already: nothing may be concluded from its absence or emptiness
    std::vector<Places> children; // fields in any order, or items in order

    const Places *field(std::string_view) const;
    Places &fault(std::string_view key, Place); // notes that this field is there but could not be read
};

// Faults of one source. At most `limit` errors and as many warnings are kept: a hostile text must not
// make a report without end.
class Report {
  public:
    static constexpr std::size_t limit = 1000;
    Report(std::string file, Diagnostics &sink) : file_(std::move(file)), sink_(sink) {}
    void error(Place, std::string path, std::string message);
    void warning(Place, std::string path, std::string message);
    std::size_t errors() const { return errors_; }
    const std::string &file() const { return file_; }

  private:
    void add(Diagnostic, std::size_t before, const char *what);

    std::string file_;
    Diagnostics &sink_;
    std::size_t errors_ = 0, warnings_ = 0;
};

// A value's place and path while the schema is walked. Cheap to copy; a path is made only for a fault.
class Where {
  public:
    Where(Report &report, const Places *places) : report_(&report), places_(places) {
        if (places)
            place_ = places->at;
    }
    Where field(std::string_view key) const;
    Where item(int position) const; // position in the message
    void error(std::string message) const;
    void warning(std::string message) const;
    bool present() const { return places_ != nullptr; }
    bool faulty() const { return places_ && places_->faulty; }
    bool any_field_faulty() const;
    Place place() const { return place_; }
    Report &report() const { return *report_; }
    std::string path() const;

  private:
    struct Step {
        std::string_view key; // empty: an index
        int index = 0;
    };
    Where step(Step, const Places *child) const;

    static constexpr std::size_t max_depth = 10; // the schema's deepest path has 6 steps
    Report *report_;
    const Places *places_;
    Place place_;
    std::array<Step, max_depth> steps_{};
    std::size_t depth_ = 0;
};

} // namespace penstock::policy
