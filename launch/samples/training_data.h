// The samples of each step, in an order that depends on the seed and the index only: every rank draws the
// same ones.
#pragma once

#include <memory>
#include <vector>

#include "launch/samples/data_sets.h"
#include "launch/samples/held_out.h"
#include "model/inputs/micro_batch.h"

namespace longsight::launch {

class TrainingData {
 public:
  virtual ~TrainingData() = default;
  // The next samples of the order that fit into train.tokens_per_step, of one epoch (ready batches: the next
  // file). Empty behind the end, which only train.epochs sets.
  virtual std::vector<model::Sample> next() = 0;
  // Behind the first so many steps of the order, wherever it stands. No sample is made.
  virtual void go_behind(i64 steps) = 0;
  // Samples of one epoch, those that are left out not counted, as far as that is known: see check_sets.
  virtual i64 samples_per_epoch() const = 0;
  virtual i64 samples_drawn() const = 0;
  // Steps of the whole run, and samples drawn from each set. With train.epochs the last step ends with them.
  // Sets must have been checked.
  virtual RunLength begin(const TrainSection&) = 0;
};

// Of the training data of `sets`. Refers to them.
std::unique_ptr<TrainingData> open_training_data(DataSets& sets);
// The same of data that are not looked at beforehand, for what needs their first steps alone: a sample that
// cannot be used is found when it is drawn.
std::unique_ptr<TrainingData> open_training_data(const LoadedConfig&, const RunModel&, const OpenFile& open);

// begin(), with what is to be known of it in the log: epochs, and passes over each of several sets. usage for
// a warm-up longer than the run.
i64 begin_training(TrainingData&, DataSets& sets);

// The held-out sets, each with its samples that are not left out, in file order. `sets` must have been
// checked; they are referred to. bad_data for a set without a supervised token.
std::vector<HeldOutSet> open_eval_data(DataSets& sets);

// An error of a sample in mid-run; says so where the check before the first step could have found it.
Error late_error(const Config&, const Error&);

// Adds to a model folder what Hugging Face needs besides weights and tokenizer, and makes it say what the run
// was trained with: processor, chat template, ids that end an answer.
void complete_model_folder(const LoadedConfig&, const RunModel&, const std::string& folder);
// Tokenizer and chat template of the run, where users of PEFT look for them: beside the adapters.
void complete_adapter_folder(const LoadedConfig&, const RunModel&, const std::string& folder);

}  // namespace longsight::launch
