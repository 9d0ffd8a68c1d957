// LLaVA as transformers' LlavaForConditionalGeneration computes it: a CLIP or SigLIP tower, a two-layer
// connector, and any language model of text_rows.h that stands alone. Source of the structure and of the
// defaults: transformers 5.23, models/llava.
#pragma once

#include "model/families/families.h"

namespace longsight::model {

// Names of three generations of files become the oldest: language_model.model.*,
// language_model.lm_head.weight, vision_tower.vision_model.*, multi_modal_projector.*.
std::string canonical_llava_name(const std::string& name_in_file);
// Without vision_model; PaliGemma is written so too.
std::vector<FileTensor> v5_llava_tensors(const ModelConfig&, const Parameter&);

// As the modules of transformers 5 are nested: model.language_model.*, model.vision_tower.*, lm_head. Of
// InternVL and PaliGemma too.
std::string memory_llava_name(const std::string& canonical);

// The outer levels alone, which LLaVA, InternVL and PaliGemma have in common.
std::string canonical_outer_name(const std::string& name_in_file);

}  // namespace longsight::model
