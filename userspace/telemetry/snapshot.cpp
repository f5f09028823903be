// SPDX-License-Identifier: Apache-2.0
#include "userspace/telemetry/snapshot.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace penstock::telemetry {
namespace {

auto labels(const CounterRow &row) {
    return std::tie(row.container, row.cgroup_id, row.policy, row.rule, row.domain, row.direction,
                    row.verdict, row.reason);
}

} // namespace

std::size_t keep_fullest(std::vector<QuotaRow> &rows, std::size_t most) {
    if (rows.size() <= most)
        return 0;
    const auto rank = [](const QuotaRow &row) {
        return std::pair(row.is_spent, static_cast<double>(row.spent) / static_cast<double>(row.bytes + 1));
    };
    std::vector<std::size_t> order(rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(most);
    std::nth_element(order.begin(), end, order.end(), [&](auto a, auto b) {
        return std::pair(rank(rows[a]), b) > std::pair(rank(rows[b]), a);
    });
    std::sort(order.begin(), end);
    for (std::size_t i = 0; i < most; ++i) // order[i] >= i
        if (order[i] != i)
            rows[i] = std::move(rows[order[i]]);
    const std::size_t gone = rows.size() - most;
    rows.resize(most);
    return gone;
}

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
