// SPDX-License-Identifier: Apache-2.0
// Pieces of answers that several endpoints share, as JSON. Pure functions of the daemon's values.
#pragma once

#include "policy/diagnostic.h"
#include "policy/explain.h"
#include "userspace/daemon/api_message.h"
#include "userspace/daemon/enforcer.h"
#include "userspace/daemon/meter.h"
#include "userspace/daemon/policy_control.h"
#include "userspace/daemon/quota_state.h"

#include <boost/json.hpp>
#include <string>
#include <unordered_map>
#include <variant>

namespace penstock::daemon {

ApiAnswer json_answer(const boost::json::value &, unsigned status = 200);
ApiAnswer change_answer(const ChangeOutcome &, std::uint32_t generation, bool count_only);

boost::json::array diagnostics_json(const policy::Diagnostics &);
boost::json::array strings_json(const std::vector<std::string> &);
boost::json::object container_json(const Container &, const Meter &);
boost::json::object policy_json(const PolicySet &, std::size_t index, const Enforcer &);
boost::json::object policy_detail_json(const PolicySet &, std::size_t index, const Enforcer &);
boost::json::object rule_json(const policy::Policy &, const policy::Rule &, std::string_view action);
boost::json::object verdict_json(const policy::Verdict &, const Meter &);

// Those that are spent, by cgroup id.
std::unordered_map<std::uint64_t, boost::json::array> spent_quotas_json(const std::vector<QuotaState> &);
// A quota that the flow or query is charged to: if it is spent, that is said, and what was allowed is denied.
void apply_spent(policy::Verdict &, const QuotaState &, std::uint8_t mode);
std::vector<telemetry::QuotaRow> quota_rows(const std::vector<QuotaState> &);

std::string_view container_mode(const Container &); // enforce audit open, "" if bound to nothing

// The container a reference of docs/api.md names, or the answer that says why not.
std::variant<const Container *, ApiAnswer> find_container(const Enforcer &, const std::string &reference);

// What diff compares: each single value of a policy as path and canonical text, sorted.
std::vector<std::pair<std::string, std::string>> policy_values(const policy::Policy &);

} // namespace penstock::daemon
