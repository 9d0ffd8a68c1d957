// The step that a plan is counted on: the batch statistics dealt over the data groups of a mesh, and its
// predicted cost.
#pragma once

#include <map>

#include "launch/planning/known_passes.h"

namespace longsight::planning {

class TypicalStep {
 public:
  // `limit`: most tokens of a micro-batch, 0: one per data group. `request` and `passes` (of it) are
  // borrowed.
  TypicalStep(const PlanRequest& request, KnownPasses& passes, const Mesh& mesh, i64 limit);

  const Mesh& mesh() const { return mesh_; }
  const PlannedBatch& summary() const { return summary_; }
  i64 idle_groups() const;  // data groups without samples
  // Ranks of a sequence group that hold no row of any picture, or no token, in a whole step.
  i64 ranks_without_pictures(const Plan& plan) const;
  i64 ranks_without_tokens(const Plan& plan) const;

  // plan.mesh and plan.micro_batch_tokens are the step's.
  StepPrediction predict(const Plan& plan) const;
  // Of all ranks, without what is computed again: the same for every plan.
  double flops() const;

 private:
  using Passes = std::map<std::size_t, i64>;  // how often each micro-batch of KnownPasses

  const PlanRequest& request_;
  KnownPasses& passes_;
  Mesh mesh_;
  PlannedBatch summary_;
  Passes all_;                                  // of all data groups
  std::vector<std::pair<Passes, i64>> groups_;  // data groups that are alike, and how many
};

}  // namespace longsight::planning
