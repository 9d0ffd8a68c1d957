// PaliGemma: SigLIP, one linear layer, Gemma; image and prefix see each other, the suffix sees what is before
// it. Source of the structure and of the defaults: transformers 5.23, models/paligemma, models/gemma,
// models/siglip.
#pragma once

#include "model/config.h"

namespace longsight::model {

ModelConfig read_paligemma_config(const nlohmann::json& file, const std::string& path);
nlohmann::json v5_paligemma_config(const ModelConfig&);

}  // namespace longsight::model
