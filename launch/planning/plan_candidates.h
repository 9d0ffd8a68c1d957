// What `auto` may choose from at one sequence degree, and which of it is best.
#pragma once

#include "launch/planning/plan_rules.h"
#include "launch/planning/typical_step.h"

namespace longsight::planning {

// A plan for one sequence degree, and what it would cost.
struct Candidate {
  AttentionKind open_vision = AttentionKind::local;  // of the blocks that the configuration leaves open
  AttentionKind open_language = AttentionKind::local;
  Plan plan;
  StepPrediction step;
  std::vector<std::pair<Recompute, i64>> too_large = {};  // levels that keep more, and the bytes they need
  i64 undealt_bytes = 0;  // with the least recompute, where every rank holds all parameters
};

// Whether the configuration leaves any block open.
bool any_open(const std::vector<BlockRequest>& requests);
// What is asked for, and `open` elsewhere.
std::vector<AttentionKind> filled(const std::vector<BlockRequest>& requests, AttentionKind open);

bool fits(const PlanRequest&, const Candidate&);  // into the memory budget

// Index of the fastest that fits; if none fits, of the one that needs least memory; of equals the first.
std::size_t choose(const PlanRequest&, const std::vector<Candidate>&);

// All that is possible at the step's degree, the best first.
std::vector<Candidate> ranked(const PlanRequest&, const BlockRequests&, const TypicalStep&);

}  // namespace longsight::planning
