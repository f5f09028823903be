// SPDX-License-Identifier: Apache-2.0
// What this kernel lets Penstock do, found out by doing it, and what is lost where it does not.
#pragma once

#include <string>
#include <vector>

namespace penstock::kernel {

struct Feature {
    enum class State { on, degraded, off };
    std::string name; // stable: "packet-gate", "early-errors", ...
    State state = State::on;
    std::string detail; // what is lost and why; empty where nothing is
};

using Features = std::vector<Feature>;

const char *text(Feature::State); // "on" "degraded" "off"

} // namespace penstock::kernel
