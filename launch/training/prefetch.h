// The next step's samples and images, made while the current one runs.
#pragma once

#include <future>
#include <optional>

#include "launch/step.h"
#include "launch/training_data.h"

namespace longsight::launch {

class Prefetch {
 public:
  // Refers to data, config and plan. `first`: the samples of the first step, drawn already; `limit`: most
  // tokens of a micro-batch, 0: none.
  Prefetch(TrainingData& data, const model::ModelConfig& config, const parallel::Plan& plan, i64 rank,
           i64 limit, std::vector<model::Sample> first);

  // Returns when the next step is ready; throws what went wrong with it.
  void wait();
  // The next step; `more`: another one will be taken, and is begun.
  StepBatch take(bool more);

 private:
  void start(std::vector<model::Sample> given);

  TrainingData& data_;
  const model::ModelConfig& config_;
  const parallel::Plan& plan_;
  i64 rank_, limit_;
  std::future<StepBatch> next_;
  std::optional<StepBatch> ready_;
};

}  // namespace longsight::launch
