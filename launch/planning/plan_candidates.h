// What `auto` may choose from at one sequence degree, and which of it is best.
#pragma once

#include "launch/planning/memory_settings.h"
#include "launch/planning/plan_rules.h"
#include "launch/planning/typical_step.h"

namespace longsight::planning {

// A plan for one sequence degree, and what it would cost.
struct Candidate {
  AttentionKind open_vision = AttentionKind::local;  // of the blocks that the configuration leaves open
  AttentionKind open_language = AttentionKind::local;
  Plan plan;
  StepPrediction step;
  std::vector<std::pair<MemorySetting, i64>> too_large = {};  // settings that keep more, and what they need
};

// Ranks that may share a sequence: what is asked for, or all that divide the world, ascending.
std::vector<i64> sequence_degrees(const PlanRequest&);

// Whether the configuration leaves any block open.
bool any_open(const std::vector<BlockRequest>& requests);
// Ranks of a node where the sequence groups of a mesh do not divide it, and so hold several nodes; else 0: as
// in Plan::node.
i64 node_of(const PlanRequest&, const Mesh&);
// How the language stream may be cut with these blocks; `equal` where no block works on some of the rows.
std::vector<Split> splits(const PlanRequest&, const Mesh&, const std::vector<AttentionKind>& language);
// What is asked for, and `open` elsewhere.
std::vector<AttentionKind> filled(const std::vector<BlockRequest>& requests, AttentionKind open);

bool fits(const PlanRequest&, const Candidate&);  // into the memory budget

// Index of the fastest that fits; if none fits, of the one that needs least memory; of equals the first.
std::size_t choose(const PlanRequest&, const std::vector<Candidate>&);

// What is likely to be best on each mesh, the best first; beside the best of all, those that differ from it
// in one tower. What is slower than one that fits, on any of them, even without saving memory, is not made to
// fit.
std::vector<std::vector<Candidate>> ranked(const PlanRequest&, KnownPasses&, const BlockRequests&,
                                           const std::vector<Mesh>&);

// All that is possible there with one memory setting; not ordered.
std::vector<Candidate> with_setting(const PlanRequest&, KnownPasses&, const BlockRequests&, const Mesh&,
                                    const MemorySetting&);

}  // namespace longsight::planning
