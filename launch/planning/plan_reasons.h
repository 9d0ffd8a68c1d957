// Why a plan is as it is: reasons of each choice, what was not chosen, and what the user should know.
#pragma once

#include "launch/planning/plan_candidates.h"

namespace longsight::planning {

// Everything that was counted for a request.
struct Considered {
  std::vector<Candidate> degrees;  // the best of each sequence degree
  std::size_t chosen = 0;          // of those
  std::vector<Candidate> here;     // all at the chosen degree, the chosen one first
};

std::string sequence_reason(const PlanRequest&, const Considered&);
std::string memory_reason(const PlanRequest&, const Considered&);
std::string zero_reason(const PlanRequest&, const Considered&);
std::string split_reason(const PlanRequest&, const Considered&);
std::vector<BlockDecision> block_decisions(const PlanRequest&, const BlockRequests&, const Considered&,
                                           const TypicalStep&);
std::vector<Rejected> rejected_alternatives(const PlanRequest&, KnownPasses&, const BlockRequests&,
                                            const Considered&, const TypicalStep&);
std::vector<std::string> plan_warnings(const PlanRequest&, const Candidate& chosen, const TypicalStep&);

}  // namespace longsight::planning
