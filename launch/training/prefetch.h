// The next step's samples, images and inputs, made while the current one runs.
#pragma once

#include <future>
#include <optional>

#include "launch/samples/training_data.h"
#include "launch/training/step.h"

namespace longsight::launch {

class Prefetch {
 public:
  // Refers to data, configuration, model and plan. `first`: the samples of the first step, where they are
  // drawn already; empty: it is drawn. `buffers`: of the device that computes.
  Prefetch(TrainingData& data, const Config& run, const model::Vlm& model, const parallel::Plan& plan,
           i64 rank, std::vector<model::Sample> first, UploadBuffers* buffers = nullptr);

  // Returns when the next step is ready; throws what went wrong with it.
  void wait();
  // The next step; `more`: another one will be taken, and is begun.
  StepBatch take(bool more);

 private:
  void start(std::vector<model::Sample> given);

  TrainingData& data_;
  const Config& run_;
  const model::Vlm& model_;
  const parallel::Plan& plan_;
  i64 rank_;
  UploadBuffers* buffers_;
  std::future<StepBatch> next_;
  std::optional<StepBatch> ready_;
};

}  // namespace longsight::launch
