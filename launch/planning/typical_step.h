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
  std::vector<parallel::BatchShape> shapes_;      // micro-batches that differ
  std::vector<std::vector<std::size_t>> groups_;  // of each data group: which of the shapes
};

}  // namespace longsight::planning
