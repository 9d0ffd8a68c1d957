// Folders that hold a model in a form that is not read here are recognised before a tensor is looked at, each
// with what to do.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace longsight::model {

// bad_data for a folder without config.json that is something else than a model in the layout of Hugging
// Face: an adapter alone, GGUF, a diffusion pipeline, Meta's or Mistral's own files; missing_input for
// weights without it and for runs, whose model lies in a folder of theirs. Other folders pass.
void check_is_model_folder(const std::string& folder);

// missing_input for a folder without adapter_config.json, saying where a run has its adapters or its model.
[[noreturn]] void fail_without_adapters(const std::string& folder);

// bad_data for a folder without safetensors that has weights in another form (pickles, GGUF, TensorFlow,
// Flax), or whose safetensors are pointers of Git LFS.
void check_has_safetensors(const std::string& folder);

// bad_data for configurations of weights that are quantised (quantization_config of the whole or of a part,
// whatever the method), and for those of original LLaVA and its relatives. `path` names the file.
void check_config_form(const nlohmann::json& config, const std::string& path);

}  // namespace longsight::model
