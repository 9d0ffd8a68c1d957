// InternVL as transformers computes it (InternVLForConditionalGeneration): a ViT with class token, layer
// scale and, in large ones, norms of q and k; pixel shuffle; a connector of a norm and two layers; Qwen2,
// Llama or InternLM2. Source: transformers 5.23, models/internvl. Its original files are in internvl_chat.h.
#pragma once

#include "model/config_reader.h"
#include "model/families/families.h"

namespace longsight::model {

ModelConfig read_internvl_config(const nlohmann::json& file, const std::string& path);
nlohmann::json v5_internvl_config(const ModelConfig&);

// What both forms share.
i64 internvl_merge(ConfigReader&);  // patches along the edge of a block that pixel shuffle joins to one row
void check_internvl_merge(ConfigReader&, const VisionConfig&);
bool internvl_rms(ConfigReader&, const char* fallback);  // RMS norms in the tower
void set_internvl_tower(VisionConfig&);

}  // namespace longsight::model
