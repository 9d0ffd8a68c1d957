// The model of a run: from a Hugging Face folder, of a tower and a language model that were trained apart, or
// of random weights after a config.json.
#pragma once

#include <memory>

#include "launch/config.h"
#include "model/files/load_weights.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {

struct RunModel {
  std::unique_ptr<model::Vlm> model;
  std::string companions;  // folder with tokenizer and processor files; empty: none
  std::shared_ptr<const io::TemporaryFolder> composed =
      {};  // keeps that folder, where it was made for the run
};

// What need not come from files: model.allow_missing, and globs of a command line; seeds are the run's.
model::WeightRules weight_rules(const LoadedConfig&, const std::vector<std::string>& more_globs = {});

// With gradients for what `model` trains, if asked for. `random_b`: new adapters begin with random values, so
// that an audit sees the gradient of each. With a sharding, this rank's shares. `dtype`: what is computed in,
// as in runtime/tensor/precision.h.
RunModel open_run_model(const LoadedConfig&, DType, bool with_gradients, bool random_b = false,
                        const Sharding& = {});

// The same without values: no weight is read and nothing allocated. What is wrong with data and plan can be
// said before gigabytes are read.
RunModel open_run_shape(const LoadedConfig&);

DType precision_of(const LoadedConfig&);  // train.precision

}  // namespace longsight::launch
