// Language models alone: Llama, Mistral and Qwen2 checkpoints without a vision tower.
#pragma once

#include "model/config.h"

namespace longsight::model {

ModelConfig read_text_only_config(const nlohmann::json& file, const std::string& path);
nlohmann::json v5_text_only_config(const ModelConfig&);

}  // namespace longsight::model
