// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/snapshot.h"

#include <algorithm>
#include <tuple>

namespace penstock::telemetry {
namespace {

auto labels(const CounterRow &row) {
    return std::tie(row.container, row.cgroup_id, row.policy, row.rule, row.domain, row.direction,
                    row.verdict, row.reason);
}

} // namespace

void sort_and_merge(std::vector<CounterRow> &rows) {
    std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) { return labels(a) < labels(b); });
    auto last = rows.begin();
    for (auto row = rows.begin(); row != rows.end(); ++row) {
        if (row == rows.begin())
            continue;
        if (labels(*row) == labels(*last)) {
            last->packets += row->packets;
            last->bytes += row->bytes;
        } else if (++last != row) {
            *last = std::move(*row);
        }
    }
    if (!rows.empty())
        rows.erase(last + 1, rows.end());
}

} // namespace penstock::telemetry
