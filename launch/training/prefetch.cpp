#include "launch/training/prefetch.h"

namespace longsight::launch {

Prefetch::Prefetch(TrainingData& data, const Config& run, const model::ModelConfig& config,
                   const parallel::Plan& plan, i64 rank, std::vector<model::Sample> first)
    : data_(data), run_(run), config_(config), plan_(plan), rank_(rank) {
  start(std::move(first));
}

void Prefetch::wait() {
  ready_ = next_.get();
}

StepBatch Prefetch::take(bool more) {
  StepBatch step = ready_ ? std::move(*ready_) : next_.get();
  ready_.reset();
  if (more) start({});
  return step;
}

void Prefetch::start(std::vector<model::Sample> given) {
  next_ = std::async(std::launch::async, [this, given = std::move(given)] {
    try {
      const std::vector<model::Sample> samples = given.empty() ? data_.next() : given;
      StepBatch step = deal_step(samples, config_, plan_.mesh, plan_.mesh.data_rank(rank_),
                                 run_.memory.micro_batch_tokens.value_or(0));
      prepare_images(step, plan_, plan_.mesh.sequence_rank(rank_));
      return step;
    } catch (const Error& error) {
      throw late_error(run_, error);
    }
  });
}

}  // namespace longsight::launch
