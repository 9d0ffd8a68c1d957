// LLaVA as transformers' LlavaForConditionalGeneration computes it: CLIP tower, two-layer connector, Llama.
// Source of the structure and of the defaults: transformers 5.23, models/llava, models/clip, models/llama.
#pragma once

#include "model/config.h"

namespace longsight::model {

ModelConfig read_llava_config(const nlohmann::json& file, const std::string& path);

// Names of three generations of files become the oldest: language_model.model.*,
// language_model.lm_head.weight, vision_tower.vision_model.*, multi_modal_projector.*.
std::string canonical_llava_name(const std::string& name_in_file);

}  // namespace longsight::model
