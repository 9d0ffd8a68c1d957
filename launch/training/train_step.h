// What training changes, and one step of it: the same for a run, for a benchmark and for a test.
#pragma once

#include "launch/training/step.h"
#include "parallel/optimizer.h"

namespace longsight::launch {

struct TrainState {
  model::Vlm& model;  // its parameters
  parallel::AdamW optimizer;
  i64 step = 0;  // done
  i64 samples_seen = 0;
  i64 tokens_seen = 0;
  i64 skipped = 0;           // of the steps: those without an update,
  i64 skipped_in_a_row = 0;  // and how many of them were the last ones
};

struct StepOptions {
  ops::AdamWOptions adamw = {};                   // each parameter counts its own steps
  double clip = 1;                                // largest norm of the gradients
  StepRunner::End end = StepRunner::End::update;  // or with a comparison of replicas
  StepVotes votes = {};                           // of this rank
};

struct StepResult {
  double loss = 0;           // mean over the step's supervised tokens
  double gradient_norm = 0;  // before clipping
  double flops = 0;          // computed by all ranks, without what is computed again
  StepVotes votes = {};      // of all ranks
  bool finite = true;        // both; else nothing was updated
};

// Forward, backward, the sum over ranks, the update, and with End::replica_check the hashes of the replicas:
// all that the stream has to do, nothing of it read. Where loss or gradients are not finite nothing is
// updated. Collective over the world of `runner`, whose model is the state's.
void queue_train_step(TrainState&, const StepBatch&, const StepOptions&, StepRunner&);
// Waits for it, and counts it unless it was not finite: the same on every rank.
StepResult finish_train_step(TrainState&, const StepBatch&, StepRunner&);
// Counts a step that was not finite: its samples are left out, and no parameter counts it.
void count_skipped_step(TrainState&, const StepBatch&);
// Both.
StepResult train_step(TrainState&, const StepBatch&, const StepOptions&, StepRunner&);

}  // namespace longsight::launch
