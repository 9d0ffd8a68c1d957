// A plan for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "launch/planning/fitting.h"
#include "launch/planning/planner.h"

namespace longsight::planning {

struct TableOptions {
  bool rejected = true;  // list what was not chosen
};

// Aligned text of several lines: mesh, blocks (equal neighbours in one line), memory, exchange, time, what
// was rejected.
std::string plan_table(const PlanResult& result, const TableOptions& options = {});

// Keys: mesh, blocks, split, memory (bytes of the fullest rank by part, and total), memory_budget,
// memory_reason, micro_batch_tokens, exchange_bytes (of a step, all ranks), exchange (by part),
// predicted_seconds (of a step), predicted_tokens_per_second, link_seconds, network_seconds, flops, seconds
// (by part), rejected, hardware, batch, warnings, refusal (empty: the plan fits into the budget).
nlohmann::ordered_json plan_json(const PlanResult& result);

// The answer of `plan --max-tokens`; JSON: max_tokens, limit, by_recompute, plan.
std::string longest_table(const LongestSequence&);
nlohmann::ordered_json longest_json(const LongestSequence&);

}  // namespace longsight::planning
