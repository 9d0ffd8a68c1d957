// The step that a plan is counted on: the batch statistics dealt over the data groups of a mesh, and its
// predicted cost.
#pragma once

#include <span>

#include "launch/planning/planner.h"

namespace longsight::planning {

// Samples packed end to end: visual tokens first, targets last. A sample with fewer tokens than its images
// need throws bad_data.
parallel::BatchShape pack_statistics(std::span<const SampleStatistics> samples, const TileFacts&);

class TypicalStep {
 public:
  // `limit`: most tokens of a micro-batch, 0: one per data group. `request` is borrowed.
  TypicalStep(const PlanRequest& request, const Mesh& mesh, i64 limit);

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
  const PlanRequest& request_;
  Mesh mesh_;
  PlannedBatch summary_;
  std::vector<parallel::BatchShape> shapes_;      // micro-batches that differ
  std::vector<std::vector<std::size_t>> groups_;  // of each data group: which of the shapes
};

}  // namespace longsight::planning
