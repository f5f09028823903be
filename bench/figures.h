// SPDX-License-Identifier: Apache-2.0
// Samples and what is said of them: best, median, a row of the table, the table, JSON. Knows no programs.
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace penstock::bench {

class Samples {
  public:
    void add(double value) { values_.push_back(value); }
    double best() const;   // the least: noise only adds
    double median() const; // of none: 0
    std::size_t count() const { return values_.size(); }

  private:
    std::vector<double> values_;
};

struct Budget {
    enum class Of { net, ratio };
    Of of = Of::net;
    double most = 0;
};

struct Row { // ns; the baseline ran interleaved with what was measured
    std::string what;
    Samples measured, baseline;
    std::optional<Budget> budget;
    std::string note;

    double net() const { return measured.best() - baseline.best(); }
    double median_net() const { return measured.median() - baseline.median(); }
    double ratio() const { return measured.best() / baseline.best(); }
    bool over() const;
};

void print_table(std::ostream &, const std::vector<Row> &);
void print_json(std::ostream &, const std::vector<Row> &);

} // namespace penstock::bench
