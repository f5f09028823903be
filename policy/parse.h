// SPDX-License-Identifier: Apache-2.0
// Text to the protobuf schema, strictly, by reflection over policy.proto: an unknown field, a wrong type or a
// key given twice is a fault with its place. Knows no meaning of any value; validate does.
// Private to the front end.
#pragma once

#include "policy/load.h"
#include "policy/proto/policy.pb.h"
#include "policy/report.h"

#include <vector>

namespace penstock::policy {

struct Parsed {
    v1::EgressPolicy message;
    Places places;
    bool faulty = false; // some of it could not be read
    int item = -1;       // of an EgressPolicyList; -1: a text document
};

std::vector<Parsed> parse(const Source &, Report &);
std::vector<Parsed> parse_protobuf(std::string_view octets, Report &); // parse's part for binary sources

} // namespace penstock::policy
