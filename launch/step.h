// One optimizer step's worth of samples: dealt over data groups, run, and its gradients summed.
#pragma once

#include <vector>

#include "model/vlm.h"
#include "parallel/gradient_sync.h"
#include "parallel/mesh.h"

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

  // Gradients of loss / supervised tokens are added on this rank only. Collective over the world. A step
  // without supervised tokens is bad_data.
  StepSums run(const StepBatch&);
  // The sum of the losses, without gradients.
  double evaluate(const StepBatch&);

  // Parameters that the step reaches: those with a gradient, without the vision side if no rank has an image.
  static bool reached(const Parameter&, const StepBatch&);
  // Sums the gradients of reached parameters over the world. Collective.
  void sum_gradients(const StepBatch&);

  model::PassMemory& memory() { return memory_; }
  const parallel::Plan& plan() const { return plan_; }

 private:
  model::Vlm& model_;
  parallel::Plan plan_;
  parallel::MeshGroups& groups_;
  Stream stream_;
  model::PassMemory memory_;
};

}  // namespace longsight::launch
