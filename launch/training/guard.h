// What becomes of a run in which something went wrong: a step whose loss or gradients are not finite, of
// which nothing is updated anywhere, or ranks whose parameters are not the same any more.
#pragma once

#include <optional>
#include <string>

#include "launch/config.h"
#include "launch/training/train_step.h"

namespace longsight::launch {

// The ranks whose own loss or gradients are not finite in a step, their micro-batches and the samples of
// these: its passes are computed once more, which takes about as long as the step. Collective over `world`,
// that of the runner's groups; the same text on every rank.
std::string where_not_finite(StepRunner&, const StepBatch&, parallel::ProcessGroup& world, Stream);

class Guard {
 public:
  // train.guard. `speaks`: in the log, rank 0.
  Guard(const GuardSection& section, bool speaks) : section_(section), speaks_(speaks) {}

  // Of a step that was not finite, `where` as above. skip: counts it in the state, and says so in the log;
  // otherwise, or where there were too many, the fault (non_finite). The same on every rank.
  std::optional<Error> not_finite(TrainState&, const StepBatch&, const StepResult&, const std::string& where);

  // Whether the run goes back to a checkpoint because of a fault in `step`, to compute again what comes
  // behind it; throws the fault otherwise. What fails again in the same step has not passed: it ends the run.
  void require_rollback(const Error& fault, i64 step);

 private:
  GuardSection section_;
  bool speaks_;
  i64 rollbacks_ = 0;     // of this launch
  i64 rolled_back_ = -1;  // the step in which the last fault was
};

}  // namespace longsight::launch
