// What a path on a command line is: a run, one of its saves, adapters or a model folder; and the model that
// it stands for. The one place that decides.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/command_line.h"
#include "launch/run_model.h"
#include "launch/samples/sample_maker.h"
#include "model/files/checkpoint.h"

namespace longsight::launch {

struct ModelSource {
  std::string path = {};     // as given
  std::string what = {};     // for people: "a run", "adapters of the run runs/x", ...
  std::string folder = {};   // Hugging Face folder of the weights; empty: the run's configuration says which
  std::string adapter = {};  // PEFT folder, to be merged into them; empty: none
  std::string run = {};      // run folder that it belongs to; empty: none
  // RUN/checkpoints/step-N, whose values come into the model of the run's configuration; empty: none.
  std::string checkpoint = {};
};

// A run stands for its final model, a save, a checkpoint or RUN/best for what it holds; other folders inside
// of a run are not the run's. Adapters belong to the model of `base`, where that is given (a path of the same
// kind), else to that of their run, else to the folder that adapter_config.json names. missing_input, saying
// what was looked for and what to name instead.
ModelSource find_source(const std::string& path, const std::string& base = "");

// For the samples of the model, as it was trained; `chat`: instead of its own format. What is wrong there is
// said before weights are read.
std::unique_ptr<SampleMaker> open_sample_maker(const ModelSource&, const std::string& chat = "");
// The model with its adapters merged. `companions` is the folder of the files beside the weights.
RunModel load_source(const ModelSource&, DType, const std::vector<std::string>& allow_missing = {});
// The values of its checkpoint, where it is one, into the model of its configuration. bad_checkpoint for one
// that is damaged, bad_data where weights that it does not hold are not those that it was trained with.
void restore_source(const ModelSource&, const RunModel&);
// The files beside the weights, as a folder of this model holds them.
void write_source_files(const ModelSource&, const RunModel&, const std::string& folder,
                        const model::ExportOptions&);

// The configuration that evaluates the source: that of its run, with all data paths as they were, the model
// in the place of what the run began with, and no degree of parallelism; without a run only the overrides.
// Overrides of the model are refused: the source is the model.
LoadedConfig source_config(const ModelSource&, const std::vector<std::string>& overrides);

// The dtype of what training began with: the model of a run is kept in f32, whatever it came from.
DType source_dtype(const ModelSource&, const model::ModelConfig&);

// --allow-missing GLOB, of every verb that reads weights from a folder.
void add_allow_missing(Command verb, std::vector<std::string>& globs);

}  // namespace longsight::launch
