// Idefics3 and SmolVLM: a SigLIP-shaped tower over tiles, pixel shuffle, one linear layer, a Llama-like
// language model. Source of the structure and of the defaults: transformers 5.23, models/idefics3 and
// models/smolvlm.
#pragma once

#include "model/config.h"

namespace longsight::model {

ModelConfig read_idefics3_config(const nlohmann::json& file, const std::string& path);
nlohmann::json v5_idefics3_config(const ModelConfig&);

}  // namespace longsight::model
