// The step that a plan is counted on: the batch statistics dealt over the data groups of a mesh, and its
// predicted cost.
#pragma once

#include "parallel/planner.h"

namespace longsight::parallel {

class TypicalStep {
 public:
  // Throws usage where nothing is known about lengths, not even the tokens of a step. `request` is borrowed.
  TypicalStep(const PlanRequest& request, const Mesh& mesh);

  const Mesh& mesh() const { return mesh_; }
  const PlannedBatch& summary() const { return summary_; }
  i64 idle_groups() const;  // data groups without samples

  // plan.mesh is the step's.
  StepPrediction predict(const Plan& plan) const;

 private:
  const PlanRequest& request_;
  Mesh mesh_;
  PlannedBatch summary_;
  std::vector<std::vector<BatchShape>> groups_;  // micro-batches by data group
};

}  // namespace longsight::parallel
