#include "launch/training/train_step.h"

#include <cmath>

namespace longsight::launch {
namespace {

void count(TrainState& state, const StepBatch& batch) {
  state.step += 1;
  state.samples_seen += batch.samples;
  state.tokens_seen += batch.tokens;
}

auto reached_by(const StepBatch& batch) {
  return [images = batch.images > 0](const Parameter& p) { return StepRunner::reached(p, images); };
}

}  // namespace

void queue_train_step(TrainState& state, const StepBatch& batch, const StepOptions& options,
                      StepRunner& runner) {
  runner.run(batch, options.end, options.votes);
  runner.update(state.optimizer, options.adamw, options.clip);
}

StepResult finish_train_step(TrainState& state, const StepBatch& batch, StepRunner& runner) {
  const StepValues values = runner.read();
  const StepResult result{.loss = values.loss / static_cast<double>(batch.supervised),
                          .gradient_norm = without_nan_sign(std::sqrt(values.squares)),
                          .flops = values.flops,
                          .votes = values.votes,
                          // The sums are the same on every rank, so all ranks come to the same here.
                          .finite = !std::isnan(values.scale)};
  if (!result.finite) return result;
  state.optimizer.count_step(reached_by(batch));
  state.skipped_in_a_row = 0;
  count(state, batch);
  return result;
}

void count_skipped_step(TrainState& state, const StepBatch& batch) {
  state.skipped += 1;
  state.skipped_in_a_row += 1;
  count(state, batch);
}

StepResult train_step(TrainState& state, const StepBatch& batch, const StepOptions& options,
                      StepRunner& runner) {
  queue_train_step(state, batch, options, runner);
  return finish_train_step(state, batch, runner);
}

}  // namespace longsight::launch
