// SPDX-License-Identifier: Apache-2.0
#include "bench/figures.h"

#include <boost/json.hpp>

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace penstock::bench {

namespace {

std::string rounded(double value, int digits) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(digits) << value;
    return out.str();
}

std::string budget_text(const Row &row) {
    if (!row.budget)
        return "-";
    if (row.budget->of == Budget::Of::net)
        return "net <= " + rounded(row.budget->most, 0);
    return "ratio <= " + rounded(row.budget->most, 2);
}

std::string judgement(const Row &row) {
    if (!row.budget)
        return "";
    return row.over() ? "OVER" : "ok";
}

} // namespace

double Samples::best() const {
    return values_.empty() ? 0 : *std::min_element(values_.begin(), values_.end());
}

double Samples::median() const {
    if (values_.empty())
        return 0;
    auto sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
}

bool Row::over() const {
    if (!budget)
        return false;
    return (budget->of == Budget::Of::net ? net() : ratio()) > budget->most;
}

void print_table(std::ostream &out, const std::vector<Row> &rows) {
    const auto line = [&](const auto &what, const auto &measured, const auto &baseline, const auto &net,
                          const auto &median, const auto &ratio, const auto &budget, const auto &verdict) {
        out << std::left << std::setw(74) << what << std::right << std::setw(9) << measured << std::setw(9)
            << baseline << std::setw(9) << net << std::setw(11) << median << std::setw(8) << ratio << "  "
            << std::left << std::setw(15) << budget << verdict << '\n';
    };
    line("what (ns)", "best", "baseline", "net", "median net", "ratio", "budget", "");
    for (const auto &row : rows)
        line(row.what, rounded(row.measured.best(), 1), rounded(row.baseline.best(), 1),
             rounded(row.net(), 1), rounded(row.median_net(), 1), rounded(row.ratio(), 2), budget_text(row),
             judgement(row));
    for (const auto &row : rows)
        if (!row.note.empty())
            out << "  " << row.what << ": " << row.note << '\n';
}

void print_json(std::ostream &out, const std::vector<Row> &rows) {
    boost::json::array list;
    for (const auto &row : rows) {
        boost::json::object item{{"what", row.what},
                                 {"unit", "ns"},
                                 {"measured", row.measured.best()},
                                 {"measured_median", row.measured.median()},
                                 {"baseline", row.baseline.best()},
                                 {"baseline_median", row.baseline.median()},
                                 {"net", row.net()},
                                 {"net_median", row.median_net()},
                                 {"ratio", row.ratio()},
                                 {"samples", row.measured.count()},
                                 {"note", row.note}};
        if (row.budget) {
            item["budget"] = row.budget->most;
            item["budget_of"] = row.budget->of == Budget::Of::net ? "net" : "ratio";
            item["over"] = row.over();
        }
        list.push_back(std::move(item));
    }
    out << boost::json::serialize(list) << '\n';
}

} // namespace penstock::bench
