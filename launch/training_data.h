// The samples of each step, in an order that depends on the seed and the index only: every rank draws the
// same ones.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "launch/overlong.h"
#include "launch/run_model.h"
#include "launch/sample_maker.h"
#include "model/micro_batch.h"

namespace longsight::launch {

class TrainingData {
 public:
  virtual ~TrainingData() = default;
  // The next samples of the order that fit into train.tokens_per_step (ready batches: the next file).
  // Endless.
  virtual std::vector<model::Sample> next() = 0;
  // Samples of one pass over the data.
  virtual i64 samples_per_epoch() const = 0;
  virtual i64 samples_drawn() const = 0;
  // Makes this rank's share of the samples once, on all of its threads, so that what is wrong with one
  // (bad_data, missing_input) is said before the first step and not hours later. Pictures are not decoded.
  // Counts are of the share. `progress` is called now and then.
  using OnProgress = std::function<void(i64 done)>;
  virtual FitCounts check_share(i64 rank, i64 ranks, const OnProgress& progress = nullptr) = 0;
};

std::unique_ptr<TrainingData> open_training_data(const LoadedConfig&, const RunModel&);

// All held-out samples in file order, in groups that fit into a step.
std::vector<std::vector<model::Sample>> open_eval_data(const LoadedConfig&, const RunModel&);

// What makes samples for the model of a configuration.
std::unique_ptr<SampleMaker> open_sample_maker(const LoadedConfig&, const RunModel&);

// Adds to an exported folder what Hugging Face needs besides weights and tokenizer: processor, chat template.
void complete_model_folder(const LoadedConfig&, const RunModel&, const std::string& folder);

}  // namespace longsight::launch
