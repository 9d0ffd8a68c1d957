// InternVL as transformers computes it (InternVLForConditionalGeneration): a ViT with class token, layer
// scale and, in large ones, norms of q and k; pixel shuffle; a connector of a norm and two layers; Qwen2,
// Llama or InternLM2. Source: transformers 5.23, models/internvl. Its original files are in internvl_chat.h.
#pragma once

#include "model/config_reader.h"
#include "model/families/families.h"
#include "model/families/vision_towers.h"

namespace longsight::model {

ModelConfig read_internvl_config(const nlohmann::json& file, const std::string& path);
nlohmann::json v5_internvl_config(const ModelConfig&);

// What both forms share.
i64 internvl_merge(ConfigReader&);  // patches along the edge of a block that pixel shuffle joins to one row
void check_internvl_merge(ConfigReader&, const VisionConfig&);
// The tower but for its names and for the keys that each form calls otherwise. `norm_type`: where none is
// given.
VisionConfig read_internvl_blocks(ConfigReader&, const TowerDefaults&, const char* norm_type);

}  // namespace longsight::model
