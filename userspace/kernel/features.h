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
    std::string detail; // why it is not on, or how; empty where there is nothing to say
    std::string loses;  // what is not enforced then; empty if it is on
};

using Features = std::vector<Feature>;

const char *text(Feature::State); // "on" "degraded" "off"

} // namespace penstock::kernel
