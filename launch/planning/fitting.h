// What fits into a memory budget: beside a plan that does not, and the longest sequence that does.
#pragma once

#include "launch/planning/plan_candidates.h"

namespace longsight::planning {

// Why a plan does not fit, and what would: more ranks, more memory, less that is trained.
std::string what_would_fit(const PlanRequest&, const BlockRequests&, const Candidate& best);

// Of a sequence that a plan is made for: far more than fits anywhere.
inline constexpr i64 kMostTokens = i64{1} << 30;

// One sequence as long as the budget lets it be.
struct LongestSequence {
  i64 tokens = 0;
  PlanResult plan = {};    // of it
  std::string limit = {};  // what takes the memory
  // What it costs to keep more: the longest sequence of each level of recompute, that which keeps most first.
  struct Level {
    Recompute recompute = Recompute::none;
    i64 tokens = 0;      // 0: none fits
    double seconds = 0;  // of its step
  };
  std::vector<Level> levels = {};
};

// The request's one sample, of which only the images count, made longer: its text is. Up to a thousandth
// exact. Throws usage without a budget, and where not even the images fit.
LongestSequence longest_sequence(PlanRequest);

}  // namespace longsight::planning
