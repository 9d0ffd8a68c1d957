#include "launch/training/prefetch.h"

namespace longsight::launch {

Prefetch::Prefetch(TrainingData& data, const Config& run, const model::Vlm& model, const parallel::Plan& plan,
                   i64 rank, std::vector<model::Sample> first, UploadBuffers* buffers)
    : data_(data), run_(run), model_(model), plan_(plan), rank_(rank), buffers_(buffers) {
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
      return deal_step(samples, model_, plan_, rank_, plan_.micro_batch_tokens, buffers_);
    } catch (const Error& error) {
      throw late_error(run_, error);
    }
  });
}

}  // namespace longsight::launch
