// A plan for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "launch/planning/planner.h"

namespace longsight::planning {

struct TableOptions {
  bool rejected = true;  // list what was not chosen
};

// Aligned text of several lines: mesh, blocks (equal neighbours in one line), memory, exchange, time, what
// was rejected.
std::string plan_table(const PlanResult& result, const TableOptions& options = {});

// Keys: mesh, blocks, split, memory (bytes of the fullest rank by part, and total), exchange_bytes (of a
// step, all ranks), exchange (by part), predicted_seconds (of a step), seconds (by part), rejected, hardware,
// batch, warnings.
nlohmann::ordered_json plan_json(const PlanResult& result);

}  // namespace longsight::planning
