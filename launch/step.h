// One optimizer step's worth of samples: dealt over data groups, run, and its gradients summed.
#pragma once

#include <vector>

#include "model/vlm.h"
#include "parallel/gradient_sync.h"
#include "parallel/mesh.h"
#include "parallel/schedule.h"

namespace longsight::launch {

// The samples of a step as this rank runs them. Counts are of the whole step, the same on every rank.
struct StepBatch {
  std::vector<model::MicroBatch> micro_batches;  // of this rank's data group
  i64 samples = 0;
  i64 tokens = 0;
  i64 visual_tokens = 0;
  i64 supervised = 0;
  i64 images = 0;
};

// Deals samples over the data groups of the mesh and packs them; `limit`: most tokens of a micro-batch, 0:
// none.
StepBatch deal_step(std::span<const model::Sample> samples, const model::ModelConfig&, const parallel::Mesh&,
                    i64 data_rank, i64 limit);

// Makes the images of which this rank holds rows ready; may run on another thread than the step.
void prepare_images(const StepBatch&, const parallel::Plan&, i64 sequence_rank);

// Of the whole step, on every rank the same.
struct StepSums {
  double loss = 0;   // of all supervised tokens
  double flops = 0;  // model/step_flops.h
};

// Runs steps of one model on one plan.
class StepRunner {
 public:
  StepRunner(model::Vlm&, const parallel::Plan&, parallel::MeshGroups&, Stream);

  // Gradients of loss / supervised tokens are added on this rank only. Collective over the world, whose ranks
  // first compare what they will issue to the end of the step: these sums, those of sum_gradients and, if so,
  // check_replicas. A step without supervised tokens is bad_data.
  enum class End { gradients, replica_check };
  StepSums run(const StepBatch&, End end = End::gradients);
  // The sum of the losses, without gradients.
  double evaluate(const StepBatch&);

  // Parameters that the step reaches: those with a gradient, without the vision side if no rank has an image.
  static bool reached(const Parameter&, const StepBatch&);
  // Sums the gradients of the parameters that the step of run() reached over the world. Collective.
  void sum_gradients();
  // Throws internal unless all ranks' parameters are the same, where run() was told so. Collective.
  void check_replicas();

  model::PassMemory& memory() { return memory_; }
  const parallel::Plan& plan() const { return plan_; }

 private:
  void begin(const StepBatch&, End);

  model::Vlm& model_;
  parallel::Plan plan_;
  parallel::MeshGroups& groups_;
  Stream stream_;
  model::PassMemory memory_;
  // Of the step that runs.
  parallel::ScheduleCursor cursor_;
  parallel::ScheduledGroup world_;
  std::vector<parallel::GradientBucket> buckets_;
  End end_ = End::gradients;
};

}  // namespace longsight::launch
