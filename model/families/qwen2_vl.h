// Qwen2-VL and Qwen2.5-VL: images of any size as rows of patches, 2-D RoPE in the tower, M-RoPE in the
// language model, a merger of 2 x 2 patches; 2.5 with window attention, RMS norm and a gated MLP in the
// tower. Source of the structure and of the defaults: transformers 5.23, models/qwen2_vl and
// models/qwen2_5_vl.
#pragma once

#include "model/config.h"

namespace longsight::model {

ModelConfig read_qwen2_vl_config(const nlohmann::json& file, const std::string& path);
ModelConfig read_qwen2_5_vl_config(const nlohmann::json& file, const std::string& path);

// Names of both generations become the older: model.*, lm_head.weight, visual.*.
std::string canonical_qwen2_vl_name(const std::string& name_in_file);
// As the modules of transformers 5 are nested: model.language_model.*, model.visual.*, lm_head.
std::string memory_qwen2_vl_name(const std::string& canonical);

// With the text keys in text_config, wherever the source has them. Of both.
nlohmann::json v5_qwen2_vl_config(const ModelConfig&);

}  // namespace longsight::model
