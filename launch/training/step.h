// One optimizer step's worth of samples: dealt over data groups, run, and its gradients summed.
#pragma once

#include <functional>
#include <vector>

#include "model/pass.h"
#include "parallel/gradient_sync.h"
#include "parallel/groups/mesh.h"
#include "parallel/groups/schedule.h"
#include "parallel/optimizer.h"
#include "parallel/sharded_parameters.h"

namespace longsight::launch {

// The samples of a step as this rank runs them. Counts are of the whole step, the same on every rank.
struct StepBatch {
  std::vector<model::PassInputs> passes;  // as many on every rank: a group without samples makes empty ones
  std::vector<std::vector<std::string>> ids;  // of the samples of each pass
  i64 samples = 0;
  i64 tokens = 0;
  i64 visual_tokens = 0;
  i64 supervised = 0;
  i64 images = 0;
  Upload upload = {};  // of the passes, where they run on a device
};

// Deals samples over the data groups of the plan and prepares what `rank` of the world runs of them, images
// included; may run on another thread than the step. `limit`: most tokens of a micro-batch, 0: none.
// `buffers` as upload's.
StepBatch deal_step(std::span<const model::Sample> samples, const model::Vlm&, const parallel::Plan&,
                    i64 rank, i64 limit, UploadBuffers* buffers = nullptr);

// The inputs of the passes are on their way to the buffers' device when it returns; null: the host computes.
void upload(StepBatch&, UploadBuffers*);

// What ranks want to be known at the end of a step: numbers of ranks, or 0 and 1 of one. They are summed with
// the loss, so that to agree costs no exchange of its own.
struct StepVotes {
  double stop = 0;     // asked by a signal to stop
  double save = 0;     // for a checkpoint
  double busy = 0;     // still writing one
  double seconds = 0;  // outside of collectives in the step before (launch/watchdog/slow_rank.h)
};

// Numbers of the whole step, on every rank the same, each a tensor [1] (f64).
struct StepNumbers {
  Tensor loss;     // sum of all supervised tokens
  Tensor flops;    // computed by all ranks, without what is computed again
  Tensor votes;    // [4]: stop, save, busy, seconds
  Tensor squares;  // sum of those of the gradients: whoever takes the norm writes it
  Tensor scale;    // what gradients are multiplied by: whoever clips writes it
};
struct StepValues {
  double loss = 0, flops = 0;
  StepVotes votes = {};
  double squares = 0, scale = 0;
};

// What a rank itself has of a pass, before any sum over ranks.
struct PassValues {
  double loss = 0;
  double squares = 0;  // of the gradients of this pass alone
};

// Runs steps of one model on one plan. Everything but read(), evaluate() and check_replicas() only queues
// work on the stream, that of a trace too (with MeshGroups of one). The model's parameters are dealt over the
// ranks as the plan says.
class StepRunner {
 public:
  // `buffers`: through which inputs come to the stream's device.
  StepRunner(model::Vlm&, const parallel::Plan&, parallel::MeshGroups&, Stream,
             UploadBuffers* buffers = nullptr);

  // Adds the gradients of loss / supervised tokens and sums them over the world: on every rank, or where they
  // are dealt each rank's share. Collective over the world, whose ranks first compare what they will issue to
  // the end of the step: the sums and, if so, update(). A step without supervised tokens is bad_data.
  enum class End { gradients, update, replica_check };
  void run(const StepBatch&, End end = End::gradients, const StepVotes& own = {});
  // What run() was told would follow: the norm, clipping to `clip`, the optimizer's step on what the
  // batch reached, the values to all ranks, and the comparison of the ranks' parameters. Nothing is updated
  // where loss or gradients are not finite. Collective over the world.
  void update(const parallel::AdamW&, const ops::AdamWOptions&, double clip);
  StepNumbers numbers() const;
  StepValues read() const;                         // of the step that ran. Waits for it
  double own_flops() const { return own_flops_; }  // computed by this rank in that step, as numbers().flops
  // The passes of a step again, one by one, without a sum over ranks; no gradient is left. For a step that
  // went wrong: it waits for each. Collective over the world, whose ranks give the same step.
  std::vector<PassValues> run_alone(const StepBatch&);

  // The sum of the losses, without gradients. Collective over the world.
  void queue_evaluation(const StepBatch&);
  double evaluate(const StepBatch&);

  // Parameters that a step reaches: those with a gradient, without the vision side if no rank has an image.
  static bool reached(const Parameter&, bool images);
  // Waits for the comparison of the ranks' parameters, and throws internal on every rank unless they are the
  // same. Collective.
  void check_replicas();

  model::PassMemory& memory() { return memory_; }
  const parallel::Plan& plan() const { return plan_; }
  UploadBuffers* buffers() const { return buffers_; }

 private:
  // Where it queues its collectives and on what: on the ranks, or in a trace.
  struct Side {
    parallel::ProcessGroup& world;
    Arena& scratch;
    Stream stream;
  };
  void begin(const StepBatch&, End);
  void sum_over_ranks(const Side&);
  void end_step(const Side&, const std::function<void()>& update);
  const Sharding& sharding() const { return model_.parameters().sharding(); }
  model::DealtOver dealt_over(Tensor own_squares = {});

  model::Vlm& model_;
  parallel::Plan plan_;
  parallel::MeshGroups& groups_;
  Stream stream_;
  UploadBuffers* buffers_;
  model::PassMemory memory_;
  // Of the step that runs.
  parallel::ScheduleCursor cursor_;
  parallel::ScheduledGroup world_;
  std::vector<parallel::GradientBucket> buckets_;  // of what every rank sums
  parallel::Reached reached_;
  OwnedTensor numbers_, hashes_;
  End end_ = End::gradients;
  double own_flops_ = 0;
};

}  // namespace longsight::launch
