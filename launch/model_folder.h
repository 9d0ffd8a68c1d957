// A Hugging Face model folder as the verbs use it: the weights, and what makes samples for them.
#pragma once

#include <memory>
#include <string>

#include "launch/command_line.h"
#include "launch/sample_maker.h"
#include "model/checkpoint.h"

namespace longsight::launch {

// --allow-missing GLOB, of every verb that reads weights from a folder.
void add_allow_missing(Command verb, std::vector<std::string>& globs);

// A model folder itself, or RUN/model of a run folder. missing_input, saying what was looked for.
std::string model_folder_of(const std::string& dir_or_run);

struct ModelFolder {
  std::string path;
  std::unique_ptr<model::Vlm> model;
  std::unique_ptr<SampleMaker> samples;
};

// A folder of adapters (PEFT) belongs to the model where it is named; they are merged into the weights.
// `chat`: as in SampleMaker::of_model. The samples are made first: what is wrong there is said before
// gigabytes are read.
ModelFolder open_model_folder(const std::string& dir_or_run, const model::LoadOptions&,
                              const std::string& chat = "", const std::string& adapter = "");
// The model alone.
std::unique_ptr<model::Vlm> load_with_adapter(const std::string& folder, const model::LoadOptions&,
                                              const std::string& adapter);

}  // namespace longsight::launch
