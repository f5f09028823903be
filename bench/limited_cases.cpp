// SPDX-License-Identifier: Apache-2.0
// What a new flow costs under limits, alone and beside many budgets: all three look-ups of a charge are made.
#include "bench/cases.h"
#include "bench/stopwatch.h"

#include <iterator>
#include <stdexcept>

namespace penstock::bench {

using namespace penstock::differential;

namespace {

constexpr double crowd_budget = 1.05; // 5 %: below it nothing is measurable here

struct Scene {
    const char *what;
    std::uint32_t containers; // others, each with as many budgets as ours
    int rules;
};
// 64 times 1,000 rules and the containers' own is all that the kernel has room for.
constexpr Scene scenes[] = {{"1 limited rule", 0, 1},
                            {"1 limited rule; 10000 containers", neighbours, 1},
                            {"1000 limited rules", 0, many_rules},
                            {"1000 limited rules; 64 containers", 64, many_rules}};

double syn_to(World &world, int program, int rule, int repeat, bool real) {
    const auto ran = run(program, frame(limited_rule_ends(rule), ip_tcp, {}), world.ifindex(), repeat);
    if (real && !ran.passed)
        throw std::runtime_error("a packet under limits was unexpectedly denied");
    return ran.ns;
}

void sample(World &world, const EmptyPrograms &empty, const Scene &scene, const Effort &effort, Row &row) {
    const int program = world.gate().program("ps_egress");
    world.bind_limited_rules(scene.rules);
    for (int rule = 0; rule < scene.rules; ++rule) // each budget of ours is there
        syn_to(world, program, rule, 1, true);
    double sum = 0, sum_of_empty = 0;
    constexpr int parts = 5; // rules all over the policy
    for (int part = 0; part < parts; ++part) {
        const int rule = scene.rules * part / parts;
        sum_of_empty += syn_to(world, empty.egress, rule, effort.repeat / parts, false);
        sum += syn_to(world, program, rule, effort.repeat / parts, true);
    }
    row.measured.add(sum / parts);
    row.baseline.add(sum_of_empty / parts);
}

Row compared(const Row &with, const Row &alone) {
    return {with.what + " over 1 limited rule, totals",
            with.measured,
            alone.measured,
            Budget{Budget::Of::ratio, crowd_budget},
            {}};
}

} // namespace

std::vector<Row> limited_rows(World &world, const EmptyPrograms &empty, const Effort &effort) {
    std::vector<Row> rows;
    for (const auto &scene : scenes)
        rows.push_back({std::string("new flow, TCP SYN, ") + scene.what, {}, {}, {}, {}});
    const int rounds = effort.rounds < 10 ? 2 : 10;
    for (int round = 0; round < rounds; ++round)
        for (std::size_t i = 0; i < std::size(scenes); ++i) {
            world.add_budgets(scenes[i].containers, scenes[i].rules);
            for (int again = 0; again < effort.rounds / rounds; ++again)
                sample(world, empty, scenes[i], effort, rows[i]);
            world.remove_budgets(scenes[i].containers, scenes[i].rules);
        }
    world.bind_domains(1000);
    const auto count = rows.size();
    for (std::size_t i = 1; i < count; ++i)
        rows.push_back(compared(rows[i], rows[0]));
    return rows;
}

} // namespace penstock::bench
